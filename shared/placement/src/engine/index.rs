//! What is found by type of service: who waits, who runs, who could take a job.

use super::shelf::Shelves;
use super::timers::{Owner, Timers};
use super::want::Want;
use crate::{Cluster, Job, JobStatus, Place, Registered, ServiceName, ServiceType};
use domain::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Order in a queue: more urgent first, then older.
pub(crate) type Rank = (i32, Place);

#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) types: BTreeMap<ServiceType, TypeIndex>,
    /// Paused jobs.
    pub(crate) paused: BTreeSet<Place>,
    /// Who waits for the end of whom.
    pub(crate) paused_by: BTreeMap<Place, BTreeSet<Place>>,
    /// Services that a person wants up.
    pub(crate) asked: BTreeSet<ServiceName>,
    pub(crate) timers: Timers,
    pub(crate) dirty: Dirty,
    pub(crate) shelves: Shelves,
    /// Everybody who wants room but persons, the most urgent first.
    pub(crate) wanting: BTreeSet<Want>,
}

/// What has to be looked at again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) jobs: BTreeSet<Place>,
    pub(crate) services: BTreeSet<ServiceName>,
    pub(crate) types: BTreeSet<ServiceType>,
    /// Services that gained or lost jobs, with what they had when last looked at.
    pub(crate) loads: BTreeMap<ServiceName, Load>,
    pub(crate) room: bool,
}

/// A service's load when it was last looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) idle: bool,
    /// The priority of its least urgent job.
    pub(crate) worst: Option<i32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct TypeIndex {
    /// Jobs that any service may take.
    pub(crate) queue: BTreeSet<Rank>,
    /// Jobs that only the named service may take.
    pub(crate) pinned: BTreeMap<ServiceName, BTreeSet<Rank>>,
    /// Jobs that wait for their retry.
    pub(crate) backing_off: BTreeSet<Place>,
    /// Jobs that hold a slot.
    pub(crate) running: BTreeSet<Rank>,
    /// Paused jobs.
    pub(crate) paused: usize,
    /// All services of the type.
    pub(crate) services: BTreeSet<ServiceName>,
    /// Those that can take a job now, the least loaded first.
    pub(crate) free: BTreeSet<(usize, ServiceName)>,
    /// Those that could be started.
    pub(crate) startable: BTreeSet<ServiceName>,
    /// Those that serve or will.
    pub(crate) live: BTreeSet<ServiceName>,
    /// Slots of those that are starting.
    pub(crate) coming_slots: usize,
    /// Services that requests wait for, with the urgency of the first.
    pub(crate) wished: BTreeMap<ServiceName, Rank>,
    /// Who asked for room when last looked at.
    pub(crate) wants: Vec<Want>,
    /// The priorities at the heads of the queues when last looked at.
    pub(crate) heads: Vec<i32>,
    /// Whether any job waited when last looked at.
    pub(crate) had_waiting: bool,
}

impl TypeIndex {
    /// Whether a job of the type is queued (due or not) or paused.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.pinned.is_empty() || !self.backing_off.is_empty() || self.paused > 0
    }

    /// The best job that a service could take.
    pub(crate) fn head_for(&self, service: &ServiceName) -> Option<Rank> {
        let pinned =
            if self.pinned.is_empty() { None } else { self.pinned.get(service).and_then(|queue| queue.first()) };
        match (self.queue.first(), pinned) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    fn enqueue(&mut self, job: &Job) {
        let rank = (job.spec.priority, job.place);
        match &job.spec.service_name {
            None => self.queue.insert(rank),
            Some(pin) => self.pinned.entry(pin.clone()).or_default().insert(rank),
        };
    }

    fn dequeue(&mut self, job: &Job) {
        let rank = (job.spec.priority, job.place);
        self.backing_off.remove(&job.place);
        let Some(pin) = &job.spec.service_name else {
            self.queue.remove(&rank);
            return;
        };
        if let Some(queue) = self.pinned.get_mut(pin) {
            queue.remove(&rank);
            if queue.is_empty() {
                self.pinned.remove(pin);
            }
        }
    }
}

impl Index {
    pub(crate) fn of_type(&mut self, kind: &ServiceType) -> &mut TypeIndex {
        if !self.types.contains_key(kind) {
            self.types.insert(kind.clone(), TypeIndex::default());
        }
        self.types.entry(kind.clone()).or_default()
    }

    pub(crate) fn add_job(&mut self, cluster: &Cluster, job: &Job, now: Time) {
        let kind = self.of_type(&job.spec.service_type);
        match job.status {
            JobStatus::Queued if job.not_before.is_some_and(|due| due > now) => {
                kind.backing_off.insert(job.place);
            }
            JobStatus::Queued => kind.enqueue(job),
            JobStatus::Running => {
                kind.running.insert((job.spec.priority, job.place));
            }
            JobStatus::Paused => {
                kind.paused += 1;
                self.paused.insert(job.place);
                if let Some(by) = preemptor(cluster, job) {
                    self.paused_by.entry(by).or_default().insert(job.place);
                }
            }
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled | JobStatus::Expired => {}
        }
        self.timers.set(Owner::Job(job.place), job_due(job, now));
    }

    pub(crate) fn drop_job(&mut self, cluster: &Cluster, job: &Job) {
        let kind = self.of_type(&job.spec.service_type);
        match job.status {
            JobStatus::Queued => kind.dequeue(job),
            JobStatus::Running => {
                kind.running.remove(&(job.spec.priority, job.place));
            }
            JobStatus::Paused => {
                kind.paused -= 1;
                self.paused.remove(&job.place);
                if let Some(by) = preemptor(cluster, job)
                    && let Some(waiting) = self.paused_by.get_mut(&by)
                {
                    waiting.remove(&job.place);
                    if waiting.is_empty() {
                        self.paused_by.remove(&by);
                    }
                }
            }
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled | JobStatus::Expired => {}
        }
    }

    pub(crate) fn add_service(&mut self, cluster: &Cluster, known: &Registered, now: Time) {
        let name = &known.service.name;
        let due = super::containers::container_due(known, &cluster.policy, now);
        self.timers.set(Owner::Service(name.clone()), due);
        if known.container.asked {
            self.asked.insert(name.clone());
        }
        let kind = self.of_type(&known.service.service_type);
        kind.services.insert(name.clone());
        if known.takes_jobs() {
            kind.free.insert((known.running.len(), name.clone()));
        }
        if !known.service.enabled {
            return;
        }
        if known.container.is_live() {
            kind.live.insert(name.clone());
        }
        if matches!(known.container.state, crate::State::Starting { .. }) {
            kind.coming_slots += known.service.max_concurrency as usize;
        }
        if let Some((priority, place, _)) = known.wish() {
            kind.wished.insert(name.clone(), (priority, place));
        }
        if can_start(known, now) {
            kind.startable.insert(name.clone());
        }
    }

    pub(crate) fn drop_service(&mut self, known: &Registered) {
        let name = &known.service.name;
        self.asked.remove(name);
        let kind = self.of_type(&known.service.service_type);
        kind.services.remove(name);
        kind.free.remove(&(known.running.len(), name.clone()));
        kind.live.remove(name);
        kind.startable.remove(name);
        kind.wished.remove(name);
        if known.service.enabled && matches!(known.container.state, crate::State::Starting { .. }) {
            kind.coming_slots -= known.service.max_concurrency as usize;
        }
    }

    /// A dispatch or an end changed nothing of a service but how many jobs it has.
    pub(crate) fn move_load(&mut self, before: (usize, bool), known: &Registered) {
        let kind = self.of_type(&known.service.service_type);
        let mut key = (before.0, known.service.name.clone());
        if before.1 {
            kind.free.remove(&key);
        }
        if known.takes_jobs() {
            key.0 = known.running.len();
            kind.free.insert(key);
        }
    }

    /// Whether any who want room are at least this urgent.
    pub(crate) fn wanted_at(&self, priority: i32) -> bool {
        self.wanting.first().is_some_and(|want| want.priority <= priority)
    }
}

fn preemptor(cluster: &Cluster, job: &Job) -> Option<Place> {
    let by = job.paused.as_ref()?.by.as_ref()?;
    cluster.places.get(by).copied()
}

pub(crate) fn can_start(known: &Registered, now: Time) -> bool {
    known.container.is_stopped() && known.container.retry_at.is_none_or(|due| due <= now)
}

/// The next moment at which a decision about the job may change by itself; what is past was looked at.
fn job_due(job: &Job, now: Time) -> Option<Time> {
    let running = job.run.as_ref();
    let running = running.map(|run| run.interrupt.as_ref().map_or(run.deadline, |interrupt| interrupt.deadline));
    let queued = if job.status == JobStatus::Queued { [job.not_before, job.expires_at()] } else { [None, None] };
    queued.into_iter().chain([running]).flatten().filter(|due| *due > now).min()
}
