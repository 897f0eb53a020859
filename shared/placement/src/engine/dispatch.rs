//! Gives free slots to waiting jobs, and takes slots from much less urgent ones.

use super::Engine;
use super::index::Rank;
use crate::clock::after;
use crate::{Action, Interruption, Place, ServiceName, ServiceType};

impl Engine {
    pub(super) fn look_at_type(&mut self, kind: &ServiceType) {
        while let Some((place, service)) = self.next_pair(kind) {
            self.dispatch(place, &service);
        }
        self.preempt_within(kind);
        self.note_wants(kind);
        let index = self.index.of_type(kind);
        let waiting = index.has_waiting();
        if std::mem::replace(&mut index.had_waiting, waiting) && !waiting {
            let services = index.services.clone();
            self.index.dirty.services.extend(services);
        }
    }

    /// The most urgent job that a free slot exists for, and that slot.
    fn next_pair(&self, kind: &ServiceType) -> Option<(Place, ServiceName)> {
        let index = self.index.types.get(kind)?;
        let (_, least_loaded) = index.free.first()?;
        let mut best = index.queue.first().map(|rank| (*rank, least_loaded));
        for (name, queue) in &index.pinned {
            let Some(rank) = queue.first() else { continue };
            if best.is_none_or(|(other, _)| *rank < other) && self.takes_jobs_of(name, kind) {
                best = Some((*rank, name));
            }
        }
        best.map(|((_, place), name)| (place, name.clone()))
    }

    fn takes_jobs_of(&self, name: &ServiceName, kind: &ServiceType) -> bool {
        self.cluster.services.get(name).is_some_and(|known| known.takes_jobs() && known.service.service_type == *kind)
    }

    fn dispatch(&mut self, place: Place, service: &ServiceName) {
        let (Some(job), Some(known)) = (self.cluster.jobs.get(&place), self.cluster.services.get(service)) else {
            return;
        };
        let timeout = job.spec.timeout_ms.unwrap_or(known.service.job_timeout_ms);
        self.decide(Action::Dispatch {
            job: job.spec.id.clone(),
            attempt: job.attempt + 1,
            service: service.clone(),
            generation: known.container.generation,
            deadline: after(self.now, timeout),
        });
    }

    /// Walks the queues in order while somebody who runs is less urgent by the gap.
    fn preempt_within(&mut self, kind: &ServiceType) {
        let gap = self.cluster.policy.preempt_priority_gap;
        let Some(index) = self.index.types.get(kind) else {
            return;
        };
        let Some((worst, _)) = index.running.last().copied() else {
            return;
        };
        let reach = worst.saturating_sub(gap);
        let queues =
            std::iter::once((None, &index.queue)).chain(index.pinned.iter().map(|(pin, queue)| (Some(pin), queue)));
        let mut waiting: Vec<(Rank, Option<ServiceName>)> = Vec::new();
        for (pin, queue) in queues {
            let urgent = queue.iter().take_while(|(priority, _)| *priority <= reach).take(index.running.len());
            waiting.extend(urgent.map(|rank| (*rank, pin.cloned())));
        }
        waiting.sort_unstable();
        for ((priority, place), pin) in waiting {
            if self.cluster.jobs.get(&place).is_some_and(|job| job.claim.is_none()) {
                self.preempt_for(kind, priority, place, pin.as_ref());
            }
        }
    }

    fn preempt_for(&mut self, kind: &ServiceType, priority: i32, place: Place, pin: Option<&ServiceName>) {
        let Some(victim) = self.best_victim(kind, priority, pin) else {
            return;
        };
        let Some(victim) = self.cluster.jobs.get(&victim) else {
            return;
        };
        let Some(preemptor) = self.cluster.jobs.get(&place) else {
            return;
        };
        let by = preemptor.spec.id.clone();
        let Some(service) = victim.run.as_ref().map(|run| run.service.clone()) else {
            return;
        };
        let grace = self.cluster.policy.interrupt_grace_ms;
        let Some(action) = Action::interrupt(victim, Interruption::Preempted { by: Some(by.clone()) }, self.now, grace)
        else {
            return;
        };
        self.decide(action);
        self.decide(Action::Claim { job: by, service });
    }

    /// Among those who may be preempted, the one that loses the least work.
    fn best_victim(&mut self, kind: &ServiceType, priority: i32, pin: Option<&ServiceName>) -> Option<Place> {
        let gap = self.cluster.policy.preempt_priority_gap;
        let index = self.index.types.get(kind)?;
        let mut best: Option<(u64, i32, Place)> = None;
        let mut wake = None;
        for (theirs, place) in
            index.running.iter().rev().take_while(|(theirs, _)| theirs.saturating_sub(gap) >= priority)
        {
            let Some(job) = self.cluster.jobs.get(place) else {
                continue;
            };
            let Some(run) = job.run.as_ref().filter(|run| run.interrupt.is_none()) else {
                continue;
            };
            let Some(known) = self.cluster.services.get(&run.service) else {
                continue;
            };
            if pin.is_some_and(|pin| *pin != run.service) || !known.container.serves() || !known.service.enabled {
                continue;
            }
            let due = after(run.started_at, known.min_runtime_ms(&self.cluster.policy));
            if due > self.now {
                wake = Some(wake.map_or(due, |wake: domain::Time| wake.min(due)));
                continue;
            }
            let cost = (run.unsaved_ms(self.now), theirs.saturating_neg(), *place);
            best = Some(best.map_or(cost, |best| best.min(cost)));
        }
        if best.is_none() && wake.is_some() {
            self.index.timers.set(super::timers::Owner::Type(kind.clone()), wake);
        }
        best.map(|(_, _, place)| place)
    }
}
