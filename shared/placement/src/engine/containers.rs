//! What a container's own state asks for: stops that are due, overdue or owed.

use super::Engine;
use crate::clock::after;
use crate::{Action, Device, Interruption, Policy, Registered, ServiceName, State, StopReason};
use domain::Time;

/// The next moment at which a decision about the container may change by itself.
pub(crate) fn container_due(known: &Registered, policy: &Policy, now: Time) -> Option<Time> {
    let due = match &known.container.state {
        State::Stopped => known.container.retry_at,
        State::Starting { since } | State::Unhealthy { since } => Some(after(*since, known.start_timeout_ms(policy))),
        State::Ready { .. } => idle_until(known),
        State::Draining { since, reason: StopReason::Asked } => Some(after(*since, policy.drain_timeout_ms)),
        State::Stopping { since, .. } => Some(after(*since, policy.command_timeout_ms)),
        State::Draining { .. } | State::Lost { .. } => None,
    };
    due.filter(|due| *due > now)
}

/// When an idle container has been idle long enough to be stopped for that alone.
fn idle_until(known: &Registered) -> Option<Time> {
    if !known.container.owned || known.service.vram_mb == 0 {
        return None;
    }
    Some(after(known.container.idle_since?, known.service.idle_timeout_ms?))
}

/// Whether a GPU's memory has stopped moving, or was waited for long enough.
pub(crate) fn is_settled(device: &Device, policy: &Policy, now: Time) -> bool {
    device.settling_since.is_none_or(|since| after(since, policy.settle_timeout_ms) <= now)
}

impl Engine {
    pub(super) fn look_at_container(&mut self, name: &ServiceName) {
        let Some(known) = self.cluster.services.get(name) else {
            return;
        };
        let (policy, now) = (&self.cluster.policy, self.now);
        let overdue = |since: Time, ms: u64| after(since, ms) <= now;
        let tainted = known.container.tainted.then_some(StopReason::Tainted);
        let reason = match &known.container.state {
            State::Stopped | State::Lost { .. } => None,
            State::Stopping { since, reason, .. } => overdue(*since, policy.command_timeout_ms).then(|| reason.clone()),
            State::Starting { since } => {
                tainted.or(overdue(*since, known.start_timeout_ms(policy)).then_some(StopReason::StartTimedOut))
            }
            State::Unhealthy { since } => {
                tainted.or(overdue(*since, known.start_timeout_ms(policy)).then_some(StopReason::Unhealthy))
            }
            State::Draining { .. } if tainted.is_some() => tainted,
            State::Draining { since, reason } => return self.look_at_drain(name, *since, reason.clone()),
            State::Ready { .. } => tainted.or(self.is_idle_too_long(known).then_some(StopReason::Idle)),
        };
        if let Some(reason) = reason {
            let gentle = matches!(reason, StopReason::Idle);
            if !gentle || self.may_operate_on(name) {
                self.stop(name, reason);
            }
        }
    }

    fn look_at_drain(&mut self, name: &ServiceName, since: Time, reason: StopReason) {
        let Some(known) = self.cluster.services.get(name) else {
            return;
        };
        let asked = matches!(reason, StopReason::Asked);
        let overdue = asked && after(since, self.cluster.policy.drain_timeout_ms) <= self.now;
        if known.running.is_empty() {
            // Requests under way may end first, however long that takes, unless a person asked.
            if known.in_use() && !overdue {
                return;
            }
            if asked || self.may_operate_on(name) {
                self.stop(name, reason);
            }
            return;
        }
        if overdue {
            let grace = self.cluster.policy.interrupt_grace_ms;
            let jobs = known.running.iter().filter_map(|place| self.cluster.jobs.get(place));
            let jobs = jobs.filter(|job| job.run.as_ref().is_some_and(|run| run.interrupt.is_none()));
            let actions: Vec<_> =
                jobs.filter_map(|job| Action::interrupt(job, Interruption::Drained, self.now, grace)).collect();
            actions.into_iter().for_each(|action| self.decide(action));
        }
    }

    fn is_idle_too_long(&self, known: &Registered) -> bool {
        let waiting =
            self.index.types.get(&known.service.service_type).is_some_and(super::index::TypeIndex::has_waiting);
        !waiting && known.has_nothing_to_do() && idle_until(known).is_some_and(|until| until <= self.now)
    }

    /// Whether no GPU of the container is just taking or giving back memory: one such operation at a time on each.
    pub(crate) fn may_operate_on(&self, name: &ServiceName) -> bool {
        let spot = self.cluster.services.get(name).and_then(|known| known.container.spot.as_ref());
        spot.iter().flat_map(|spot| &spot.devices).all(|id| {
            self.cluster.devices.get(id).is_none_or(|device| {
                let busy = |holder: &ServiceName| {
                    holder != name && self.cluster.services.get(holder).is_some_and(|k| k.container.in_operation())
                };
                is_settled(device, &self.cluster.policy, self.now) && !device.holders.keys().any(busy)
            })
        })
    }

    pub(crate) fn stop(&mut self, name: &ServiceName, reason: StopReason) {
        let Some(known) = self.cluster.services.get(name) else {
            return;
        };
        let generation = known.container.generation;
        self.decide(Action::Stop { service: name.clone(), generation, reason });
    }
}
