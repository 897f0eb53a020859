//! What an event touches, and so what has to be looked at again.

use super::Engine;
use super::index::Load;
use super::timers::Owner;
use crate::{Change, Event, JobEvent, JobId, Place, Refusal, ServiceName};
use std::collections::BTreeSet;

/// What an event is about, as far as it may change indexes.
enum Touch<'a> {
    Job(&'a JobId),
    Services(BTreeSet<ServiceName>),
    Device(&'a crate::GpuId),
    Everything,
}

impl Engine {
    /// Applies an event and marks what it touches.
    pub(crate) fn absorb(&mut self, event: &Event) -> Result<(), Refusal> {
        match self.touches(&event.change) {
            Touch::Job(id) => self.absorb_job(id, event),
            Touch::Services(names) => self.absorb_services(&names, event),
            Touch::Device(id) => self.absorb_measure(id, event),
            Touch::Everything => {
                self.cluster.apply(event)?;
                self.rebuild();
                Ok(())
            }
        }
    }

    fn touches<'a>(&self, change: &'a Change) -> Touch<'a> {
        match change {
            Change::PolicySet { .. } | Change::NodeSeen { .. } | Change::NodeLost { .. } => Touch::Everything,
            Change::ServiceRegistered { .. } | Change::ServiceRemoved { .. } => Touch::Everything,
            Change::DeviceMeasured { device, .. } => Touch::Device(device),
            Change::StartRequested { service, spot, .. } | Change::ContainerFound { service, spot, .. } => {
                let mut names = self.neighbours(spot.devices.iter());
                names.insert(service.clone());
                Touch::Services(names)
            }
            Change::ContainerReady { service, .. }
            | Change::ContainerUnhealthy { service, .. }
            | Change::DrainBegun { service, .. }
            | Change::StopRequested { service, .. }
            | Change::ContainerStopped { service, .. }
            | Change::ContainerExited { service, .. }
            | Change::StartAsked { service }
            | Change::StopAsked { service, .. } => {
                let spot = self.cluster.services.get(service).and_then(|known| known.container.spot.as_ref());
                let mut names = self.neighbours(spot.iter().flat_map(|spot| &spot.devices));
                names.insert(service.clone());
                Touch::Services(names)
            }
            Change::SeatTaken { service, .. } | Change::SeatLeft { service, .. } => {
                Touch::Services([service.clone()].into())
            }
            Change::JobSubmitted { spec } => Touch::Job(&spec.id),
            Change::Job { job, .. } | Change::JobForgotten { job } => Touch::Job(job),
        }
    }

    fn neighbours<'a>(&self, devices: impl Iterator<Item = &'a crate::GpuId>) -> BTreeSet<ServiceName> {
        let devices = devices.filter_map(|id| self.cluster.devices.get(id));
        devices.flat_map(|device| device.holders.keys().cloned()).collect()
    }

    fn absorb_job(&mut self, id: &JobId, event: &Event) -> Result<(), Refusal> {
        let before = self.cluster.job(id);
        if let Some(job) = before {
            self.index.drop_job(&self.cluster, job);
        }
        let place = before.map(|job| job.place);
        let service = before.and_then(|job| job.run.as_ref()).map(|run| run.service.clone());
        let service = service.or_else(|| slot_taken_on(&event.change));
        let load = service.as_ref().and_then(|name| self.load_of(name));
        // Only a lost attempt can change more of a service than its load: it taints the container.
        let taints = matches!(&event.change, Change::Job { what: JobEvent::AttemptLost { .. }, .. });
        if let (true, Some(known)) = (taints, service.as_ref().and_then(|name| self.cluster.services.get(name))) {
            self.index.drop_service(known);
        }
        let applied = self.cluster.apply(event);
        if let (true, Some(known)) = (taints, service.as_ref().and_then(|name| self.cluster.services.get(name))) {
            self.index.add_service(&self.cluster, known, self.now);
        }
        match self.cluster.job(id) {
            Some(job) => self.index.add_job(&self.cluster, job, self.now),
            None => place.into_iter().for_each(|place| self.index.timers.set(Owner::Job(place), None)),
        }
        applied?;
        if let Some(place) = self.cluster.places.get(id).copied() {
            self.mark_job(place);
        }
        if let (Some(name), Some(load)) = (service, load) {
            self.stale(&name);
            self.mark_load(&name, load, taints);
        }
        Ok(())
    }

    fn load_of(&self, name: &ServiceName) -> Option<(usize, bool, Load)> {
        let known = self.cluster.services.get(name)?;
        let load = Load { idle: known.running.is_empty(), worst: self.worst_running(known) };
        Some((known.running.len(), known.takes_jobs(), load))
    }

    fn mark_job(&mut self, place: Place) {
        let Some(job) = self.cluster.jobs.get(&place) else {
            return;
        };
        let kind = &job.spec.service_type;
        if !self.index.dirty.types.contains(kind) {
            self.index.dirty.types.insert(kind.clone());
        }
        let dirty = &mut self.index.dirty.jobs;
        dirty.insert(place);
        dirty.extend(self.index.paused_by.get(&place).into_iter().flatten());
    }

    /// The least urgent job on a service: what a more urgent one could preempt.
    fn worst_running(&self, known: &crate::Registered) -> Option<i32> {
        if self.index.wanting.is_empty() {
            return None;
        }
        let running = known.running.iter().filter_map(|place| self.cluster.jobs.get(place));
        running.map(|job| job.spec.priority).max()
    }

    /// A service gained or lost a job. What that means for others is looked at once its queue was.
    fn mark_load(&mut self, name: &ServiceName, (jobs, free, before): (usize, bool, Load), tainted: bool) {
        let Some(known) = self.cluster.services.get(name) else {
            return;
        };
        if !tainted {
            self.index.move_load((jobs, free), known);
            let due = super::containers::container_due(known, &self.cluster.policy, self.now);
            self.index.timers.set(Owner::Service(name.clone()), due);
        }
        if !known.container.serves() {
            self.index.dirty.services.insert(name.clone());
            self.index.dirty.room = true;
        }
        if !self.index.dirty.loads.contains_key(name) {
            self.index.dirty.loads.insert(name.clone(), before);
        }
    }

    /// Who wants room has to know if a service became idle, stopped being idle, or has jobs less urgent than theirs.
    pub(super) fn look_at_load(&mut self, name: &ServiceName, before: Load) {
        let Some(known) = self.cluster.services.get(name) else {
            return;
        };
        let idle = known.running.is_empty();
        if idle {
            self.index.dirty.services.insert(name.clone());
        }
        if self.index.wanting.is_empty() && self.index.asked.is_empty() {
            return;
        }
        let worst = self.worst_running(known).max(before.worst);
        let step = self.cluster.policy.preempt_priority_gap.min(1);
        let less_urgent = worst.is_some_and(|worst| self.index.wanted_at(worst.saturating_sub(step)));
        if idle != before.idle || less_urgent {
            self.index.dirty.room = true;
        }
    }

    fn absorb_services(&mut self, names: &BTreeSet<ServiceName>, event: &Event) -> Result<(), Refusal> {
        for name in names {
            if let Some(known) = self.cluster.services.get(name) {
                self.index.drop_service(known);
            }
        }
        let needs: Vec<_> = names.iter().map(|name| self.need_of(name)).collect();
        let devices = self.devices_of(names);
        let applied = self.cluster.apply(event);
        for name in names {
            if let Some(known) = self.cluster.services.get(name) {
                self.index.add_service(&self.cluster, known, self.now);
            }
        }
        applied?;
        devices.iter().for_each(|id| self.set_device_timer(id));
        self.index.shelves.stale.extend(devices);
        names.iter().for_each(|name| self.stale(name));
        for (name, need) in names.iter().zip(needs) {
            self.mark_service(name);
            if self.need_of(name) != need {
                self.mark_queue_of(name);
            }
        }
        self.index.dirty.room = true;
        Ok(())
    }

    fn mark_service(&mut self, name: &ServiceName) {
        self.index.dirty.services.insert(name.clone());
        if let Some(known) = self.cluster.services.get(name) {
            self.index.dirty.types.insert(known.service.service_type.clone());
            self.index.dirty.jobs.extend(&known.running);
            self.index.dirty.jobs.extend(&self.index.paused);
        }
    }

    fn need_of(&self, name: &ServiceName) -> Option<u64> {
        self.cluster.services.get(name).map(|known| known.need_mb(&self.cluster.policy))
    }

    /// What a service needs has changed, so whether its jobs can ever fit has too.
    fn mark_queue_of(&mut self, name: &ServiceName) {
        let Some(known) = self.cluster.services.get(name) else {
            return;
        };
        let Some(kind) = self.index.types.get(&known.service.service_type) else {
            return;
        };
        let queued = kind.queue.iter().chain(kind.pinned.values().flatten()).map(|(_, place)| *place);
        self.index.dirty.jobs.extend(queued.chain(kind.backing_off.iter().copied()));
    }

    fn absorb_measure(&mut self, id: &crate::GpuId, event: &Event) -> Result<(), Refusal> {
        let view = |engine: &Self| {
            engine.cluster.devices.get(id).map(|device| (device.free_mb(), device.settling_since.is_some()))
        };
        let before = view(self);
        let names: Vec<_> =
            self.cluster.devices.get(id).iter().flat_map(|device| device.holders.keys().cloned()).collect();
        let needs: Vec<_> = names.iter().map(|name| self.need_of(name)).collect();
        self.cluster.apply(event)?;
        self.index.shelves.stale.insert(id.clone());
        for (name, need) in names.iter().zip(needs) {
            if self.need_of(name) != need {
                self.mark_queue_of(name);
            }
        }
        if before != view(self) {
            self.set_device_timer(id);
            self.index.dirty.room = true;
            self.index.dirty.services.extend(names);
        }
        Ok(())
    }

    pub(crate) fn fire_timers(&mut self) {
        while let Some(owner) = self.index.timers.pop_due(self.now) {
            match owner {
                Owner::Room => self.index.dirty.room = true,
                Owner::Type(kind) => {
                    self.index.dirty.types.insert(kind);
                }
                Owner::Job(place) => {
                    if let Some(job) = self.cluster.jobs.get(&place) {
                        self.index.drop_job(&self.cluster, job);
                        self.index.add_job(&self.cluster, job, self.now);
                    }
                    self.mark_job(place);
                }
                Owner::Service(name) => {
                    if let Some(known) = self.cluster.services.get(&name) {
                        self.index.drop_service(known);
                        self.index.add_service(&self.cluster, known, self.now);
                    }
                    self.mark_service(&name);
                    self.index.dirty.room = true;
                }
                Owner::Device(id) => {
                    let holders = self.cluster.devices.get(&id).into_iter().flat_map(|device| device.holders.keys());
                    self.index.dirty.services.extend(holders.cloned());
                    self.index.dirty.room = true;
                }
            }
        }
    }

    fn devices_of(&self, names: &BTreeSet<ServiceName>) -> BTreeSet<crate::GpuId> {
        let spots = names.iter().filter_map(|name| self.cluster.services.get(name)?.container.spot.as_ref());
        spots.flat_map(|spot| spot.devices.iter().cloned()).collect()
    }

    fn set_device_timer(&mut self, id: &crate::GpuId) {
        let settle = self.cluster.policy.settle_timeout_ms;
        let since = self.cluster.devices.get(id).and_then(|device| device.settling_since);
        let due = since.map(|since| crate::clock::after(since, settle)).filter(|due| *due > self.now);
        self.index.timers.set(Owner::Device(id.clone()), due);
    }

    /// Makes all indexes anew and marks everything.
    pub(crate) fn rebuild(&mut self) {
        let mut index = super::Index::default();
        for (name, known) in &self.cluster.services {
            index.add_service(&self.cluster, known, self.now);
            index.dirty.services.insert(name.clone());
        }
        for (place, job) in &self.cluster.jobs {
            index.add_job(&self.cluster, job, self.now);
            if !job.status.is_terminal() {
                index.dirty.jobs.insert(*place);
            }
        }
        index.dirty.types.extend(index.types.keys().cloned());
        index.dirty.room = true;
        self.index = index;
        let ids: Vec<_> = self.cluster.devices.keys().cloned().collect();
        ids.iter().for_each(|id| self.set_device_timer(id));
    }
}

fn slot_taken_on(change: &Change) -> Option<ServiceName> {
    if let Change::Job { what: JobEvent::Dispatched { service, .. }, .. } = change {
        return Some(service.clone());
    }
    None
}
