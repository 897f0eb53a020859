//! One GPU as those who want room see it: what is free and what could be made free.

use super::Engine;
use super::containers::is_settled;
use super::want::Want;
use crate::clock::after;
use crate::{Device, GpuId, Registered, ServiceName};
use domain::Time;

/// What it takes to get room, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// It is free.
    Free,
    /// It is being given back, or its memory has to become quiet.
    Wait,
    /// An idle container stops.
    Evict,
    /// Jobs are interrupted.
    Preempt,
    /// A container finishes its jobs and stops; nobody knows how long that takes.
    Drain,
}

/// A GPU during one look at the room.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    /// Free by ledger and measurement, less what is promised to those more urgent.
    pub(crate) free_mb: u64,
    /// Memory is being taken or given back, or is not quiet.
    pub(crate) busy: bool,
    pub(crate) capacity_mb: u64,
    pub(crate) promised_mb: u64,
}

/// A container whose room could be had.
#[derive(Clone, Debug)]
pub(crate) struct Yield {
    pub(crate) service: ServiceName,
    pub(crate) class: Class,
    pub(crate) mb: u64,
    /// Within a class: less is better.
    pub(crate) cost: (i64, u64),
}

impl Engine {
    pub(crate) fn shelf(&self, device: &Device) -> Shelf {
        let moving = |name: &ServiceName| self.cluster.services.get(name).is_some_and(|k| k.container.in_operation());
        let busy = !is_settled(device, &self.cluster.policy, self.now) || device.holders.keys().any(moving);
        Shelf { free_mb: device.free_mb(), busy, capacity_mb: device.capacity_mb(), promised_mb: 0 }
    }

    /// The containers on a GPU whose room a want could have, cheapest first. `wake` learns when there may be more.
    pub(crate) fn yields(&self, id: &GpuId, want: &Want, wake: &mut Wake) -> Vec<Yield> {
        let Some(device) = self.cluster.devices.get(id) else { return Vec::new() };
        let mut found: Vec<Yield> = Vec::new();
        for (name, hold) in &device.holders {
            let Some(known) = self.cluster.services.get(name) else { continue };
            let mb = hold.reserved_mb.max(hold.measured_mb.unwrap_or(0));
            if let Some((class, cost)) = self.class_of(known, want, wake) {
                found.push(Yield { service: name.clone(), class, mb, cost });
            }
        }
        found.sort_by(|a, b| (a.class, a.cost, &a.service).cmp(&(b.class, b.cost, &b.service)));
        found
    }

    fn class_of(&self, known: &Registered, want: &Want, wake: &mut Wake) -> Option<(Class, (i64, u64))> {
        let container = &known.container;
        if container.in_operation() && container.is_leaving() || container.tainted {
            return Some((Class::Wait, (0, 0)));
        }
        if container.in_operation() || matches!(container.state, crate::State::Lost { .. }) {
            return None;
        }
        if known.running.is_empty() {
            return self.idle_class(known, want, wake);
        }
        if want.further {
            return container.is_leaving().then_some((Class::Drain, (-1, 0)));
        }
        if let Some(lost_ms) = self.preempt_cost(known, want, wake) {
            let class = if lost_ms == u64::MAX { Class::Wait } else { Class::Preempt };
            return Some((class, (0, lost_ms)));
        }
        if container.is_leaving() {
            return Some((Class::Drain, (-1, 0)));
        }
        self.may_drain(known, want, wake).then(|| (Class::Drain, (0, self.ready_micros(known))))
    }

    fn idle_class(&self, known: &Registered, want: &Want, wake: &mut Wake) -> Option<(Class, (i64, u64))> {
        if known.container.is_leaving() {
            return Some((Class::Wait, (0, 0)));
        }
        let since = known.container.idle_since?;
        if !known.container.owned {
            return None;
        }
        if want.further {
            let due = after(since, self.cluster.policy.scale_out_idle_ms);
            if due > self.now {
                wake.at(due);
                return None;
            }
        }
        if !self.has_paid_off(known, want, wake) {
            return None;
        }
        let age = u64::try_from(since.as_micros()).unwrap_or(0);
        Some((Class::Evict, (-i64::from(known.service.priority), age)))
    }

    /// An idle container that was started a short while ago is not thrown out at once for someone as urgent as those
    /// it was started for: more work for it may come, and every swap costs a start.
    fn has_paid_off(&self, known: &Registered, want: &Want, wake: &mut Wake) -> bool {
        let crate::State::Ready { since } = known.container.state else { return true };
        let Some(waiting) = want.since(&self.cluster) else { return true };
        let patience = after(waiting, self.cluster.policy.batch_patience_ms);
        let due = patience.min(after(since, known.batch_ms(&self.cluster.policy)));
        if due > self.now {
            wake.at(due);
        }
        due <= self.now || want.priority < known.service.priority
    }

    /// The work lost if all jobs of a container were preempted; none if one of them may not be. The largest number
    /// means that all are being interrupted already.
    fn preempt_cost(&self, known: &Registered, want: &Want, wake: &mut Wake) -> Option<u64> {
        if !known.container.owned || want.since(&self.cluster).is_none() {
            return None;
        }
        let gap = self.cluster.policy.preempt_priority_gap;
        let mut lost = 0_u64;
        let mut due_all = self.now;
        let mut fresh = false;
        for place in &known.running {
            let job = self.cluster.jobs.get(place)?;
            let run = job.run.as_ref()?;
            if run.interrupt.is_some() {
                continue;
            }
            if job.spec.priority.saturating_sub(gap) < want.priority {
                return None;
            }
            fresh = true;
            due_all = due_all.max(after(run.started_at, known.min_runtime_ms(&self.cluster.policy)));
            lost = lost.saturating_add(run.unsaved_ms(self.now));
        }
        if due_all > self.now {
            wake.at(due_all);
            return None;
        }
        if fresh { Some(lost.min(u64::MAX - 1)) } else { Some(u64::MAX) }
    }

    /// Whether a loaded service has to make room: for someone more urgent than all it has left to do at once; for
    /// someone as urgent who waited long enough, once it has worked long enough to be worth its start.
    fn may_drain(&self, known: &Registered, want: &Want, wake: &mut Wake) -> bool {
        if !known.container.owned || want.place == super::want::NOBODY {
            return false;
        }
        let kind = self.index.types.get(&known.service.service_type);
        let head = kind.and_then(|kind| kind.head_for(&known.service.name)).map(|(priority, _)| priority);
        let running = known.running.iter().filter_map(|place| self.cluster.jobs.get(place)).map(|job| job.spec.priority);
        let most_urgent = head.into_iter().chain(running).min().unwrap_or(i32::MAX);
        if want.priority < most_urgent {
            return true;
        }
        if head.is_some_and(|head| head < want.priority) {
            return false;
        }
        let Some(waiting) = want.since(&self.cluster) else { return false };
        let patience = after(waiting, self.cluster.policy.batch_patience_ms);
        let crate::State::Ready { since } = known.container.state else { return true };
        let due = patience.max(after(since, known.batch_ms(&self.cluster.policy)));
        if due > self.now {
            wake.at(due);
        }
        due <= self.now
    }

    fn ready_micros(&self, known: &Registered) -> u64 {
        let crate::State::Ready { since } = known.container.state else { return 0 };
        u64::try_from(since.as_micros()).unwrap_or(0)
    }
}

/// The earliest moment at which a look at the room may find more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wake(pub(crate) Option<Time>);

impl Wake {
    pub(crate) fn at(&mut self, time: Time) {
        self.0 = Some(self.0.map_or(time, |before| before.min(time)));
    }
}
