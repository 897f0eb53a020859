//! The state that decisions are made from, as its events left it.

use crate::{
    Change, Device, DeviceInfo, Event, GpuId, Job, JobEvent, JobId, JobSpec, JobStatus, Node, NodeId, Place, Policy,
    Refusal, Registered, Service, ServiceName, Wanted,
};
use domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod containers;
mod nodes;

/// Everything known: policy, nodes, GPUs, services with their containers, and jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The rules' numbers.
    pub policy: Policy,
    /// GPU hosts.
    pub nodes: BTreeMap<NodeId, Node>,
    /// GPUs.
    pub devices: BTreeMap<GpuId, Device>,
    /// Services.
    pub services: BTreeMap<ServiceName, Registered>,
    /// Jobs that are not forgotten, by their place.
    pub jobs: BTreeMap<Place, Job>,
    /// Where each job is in `jobs`.
    pub places: BTreeMap<JobId, Place>,
    /// The place of the next submission.
    pub next_place: u64,
    /// The number of the next start.
    pub next_generation: u64,
}

impl Cluster {
    /// The cluster that a list of events leaves. Events that were refused then are refused again.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut cluster = Self::default();
        for event in events {
            let _refused_before_as_well = cluster.apply(event);
        }
        cluster
    }

    /// Takes in one event. A refused one changes nothing, so that hearing a thing twice is harmless.
    pub fn apply(&mut self, event: &Event) -> Result<(), Refusal> {
        let at = event.at;
        match &event.change {
            Change::PolicySet { policy } => self.policy = policy.clone(),
            Change::ServiceRegistered { service } => self.register(service),
            Change::ServiceRemoved { service } => self.remove(service)?,
            Change::NodeSeen { node, devices, running, unread } => {
                self.node_seen(node, devices, running, *unread, at);
            }
            Change::NodeLost { node } => self.node_lost(node, at)?,
            Change::DeviceMeasured { device, used_mb, by_service } => {
                self.device_measured(device, *used_mb, by_service, at)?;
            }
            Change::StartRequested { service, spot, generation } => {
                self.start_requested(service, spot, *generation, at)?;
            }
            Change::ContainerFound { service, spot, generation, orphan } => {
                self.container_found(service, spot, *generation, *orphan, at)?;
            }
            Change::ContainerReady { service, generation } => self.container_ready(service, *generation, at)?,
            Change::ContainerUnhealthy { service, generation } => self.container_unhealthy(service, *generation, at)?,
            Change::DrainBegun { service, generation, reason } => self.drain(service, *generation, reason, at)?,
            Change::StopRequested { service, generation, reason } => {
                self.stop_requested(service, *generation, reason, at)?;
            }
            Change::ContainerStopped { service, generation } => self.container_stopped(service, *generation, at)?,
            Change::ContainerExited { service, generation, error, out_of_memory } => {
                self.container_exited(service, *generation, error, *out_of_memory, at)?;
            }
            Change::StartAsked { service } => self.start_asked(service)?,
            Change::StopAsked { service, drain } => self.stop_asked(service, *drain, at)?,
            Change::SeatTaken { service, holder, priority, waiting, running } => {
                let wanted = Wanted { priority: *priority, waiting: *waiting, running: *running };
                self.seat_taken(service, holder, wanted, at)?;
            }
            Change::SeatLeft { service, holder } => self.seat_left(service, holder, at)?,
            Change::JobSubmitted { spec } => self.submit(spec, at)?,
            Change::Job { job, what } => self.job_event(job, what, at)?,
            Change::JobForgotten { job } => self.forget(job)?,
        }
        Ok(())
    }

    /// The job of that id.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.places.get(id).and_then(|place| self.jobs.get(place))
    }

    /// The service of that name.
    pub(crate) fn known(&mut self, name: &ServiceName) -> Result<&mut Registered, Refusal> {
        self.services.get_mut(name).ok_or_else(|| Refusal::Unknown { name: name.to_string() })
    }

    fn register(&mut self, service: &Service) {
        match self.services.get_mut(&service.name) {
            Some(registered) => registered.service = service.clone(),
            None => {
                self.services.insert(service.name.clone(), Registered::new(service.clone()));
            }
        }
    }

    fn remove(&mut self, name: &ServiceName) -> Result<(), Refusal> {
        let registered = self.known(name)?;
        let jobs = registered.running.len();
        if jobs > 0 || registered.in_use() {
            return Err(Refusal::InUse { service: name.clone(), jobs });
        }
        self.release(name);
        self.services.remove(name);
        Ok(())
    }

    fn submit(&mut self, spec: &JobSpec, at: Time) -> Result<(), Refusal> {
        if self.places.contains_key(&spec.id) {
            return Err(Refusal::Duplicate { job: spec.id.clone() });
        }
        let place = Place(self.next_place);
        self.next_place += 1;
        self.places.insert(spec.id.clone(), place);
        self.jobs.insert(place, Job::submitted(spec.clone(), place, at));
        Ok(())
    }

    /// A job's event, with what it means for the service that it takes or gives back a slot of.
    fn job_event(&mut self, id: &JobId, what: &JobEvent, at: Time) -> Result<(), Refusal> {
        let unknown = || Refusal::Unknown { name: id.to_string() };
        let place = *self.places.get(id).ok_or_else(unknown)?;
        let job = self.jobs.get_mut(&place).ok_or_else(unknown)?;
        if let JobEvent::Dispatched { service, generation, .. } = what {
            let registered =
                self.services.get(service).ok_or_else(|| Refusal::Unknown { name: service.to_string() })?;
            if registered.container.generation != *generation || !registered.takes_jobs() {
                return Err(Refusal::Stale { service: service.clone() });
            }
        }
        let before = job.run.as_ref().map(|run| (run.service.clone(), run.generation, run.started_at));
        job.apply(what, at)?;
        let after = job.run.as_ref().map(|run| run.service.clone());
        match (before, after) {
            (Some((service, generation, started_at)), None) => {
                self.give_back(&service, generation, place, what, started_at, at);
            }
            (None, Some(service)) => {
                if let Some(registered) = self.services.get_mut(&service) {
                    registered.running.insert(place);
                    registered.container.idle_since = None;
                }
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        Ok(())
    }

    fn give_back(
        &mut self,
        service: &ServiceName,
        generation: u64,
        place: Place,
        what: &JobEvent,
        started_at: Time,
        at: Time,
    ) {
        let Some(registered) = self.services.get_mut(service) else {
            return;
        };
        registered.running.remove(&place);
        if registered.has_nothing_to_do() {
            registered.container.idle_since = Some(at);
        }
        if matches!(what, JobEvent::Completed { .. }) {
            registered.runtimes.record(crate::clock::since_ms(started_at, at));
        }
        let unsure = matches!(what, JobEvent::AttemptLost { .. });
        if unsure && registered.container.generation == generation && !registered.container.is_stopped() {
            registered.container.tainted = true;
        }
    }

    fn forget(&mut self, id: &JobId) -> Result<(), Refusal> {
        let unknown = || Refusal::Unknown { name: id.to_string() };
        let place = *self.places.get(id).ok_or_else(unknown)?;
        let status = self.jobs.get(&place).map_or(JobStatus::Completed, |job| job.status);
        if !status.is_terminal() {
            return Err(Refusal::WrongStatus { status });
        }
        self.places.remove(id);
        self.jobs.remove(&place);
        Ok(())
    }

    pub(crate) fn update_device(&mut self, node: &NodeId, info: &DeviceInfo) {
        let device = self.devices.entry(info.id.clone()).or_insert_with(|| Device {
            node: node.clone(),
            total_mb: 0,
            reserve_mb: 0,
            holders: BTreeMap::new(),
            measured: None,
            settling_since: None,
        });
        device.node = node.clone();
        device.total_mb = info.total_mb;
        device.reserve_mb = info.reserve_mb;
    }
}
