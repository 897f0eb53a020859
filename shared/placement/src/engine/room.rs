//! Gives GPUs to those who want room, in their order, and makes the room where it can be made.

use super::offer::Offer;
use super::shelf::Class;
use super::yields::Yield;
use super::{Engine, Want};
use crate::{Action, Interruption, ServiceName, Spot, StopReason};
use domain::Time;
use std::collections::BTreeSet;

/// What was asked for in vain. Who is no more urgent, came no earlier and asks for no less asks in vain too, and not
/// before the moment at which this is looked at again.
#[derive(Clone, Copy)]
struct Hopeless {
    priority: i32,
    since: Time,
    further: bool,
    need_mb: u64,
    gpus: u16,
}

impl Hopeless {
    fn covers(&self, other: &Self) -> bool {
        (!self.further || other.further)
            && self.priority <= other.priority
            && self.since <= other.since
            && self.need_mb <= other.need_mb
            && self.gpus <= other.gpus
    }
}

impl Engine {
    /// One look at the room. The more urgent is served or promised first; what is promised is not given to others.
    pub(super) fn make_room(&mut self) {
        let wants = self.all_wants();
        if wants.is_empty() {
            return self.wake_room_at(None);
        }
        self.refresh_shelves();
        let mut wake: Option<Time> = None;
        let mut hopeless: Vec<Hopeless> = Vec::new();
        let mut promised: BTreeSet<ServiceName> = BTreeSet::new();
        let mut started = false;
        for want in wants {
            if started && !self.still_wanted(&want) {
                continue;
            }
            let asks = self.asks(&want);
            if asks.as_ref().is_some_and(|asks| hopeless.iter().any(|other| other.covers(asks))) {
                continue;
            }
            let mut asker = self.asker(&want);
            let offer = self.best_offer(&mut asker);
            wake = [wake, asker.wake].into_iter().flatten().min();
            match offer {
                // Jobs and requests may want the same service; its room is made once.
                Some(offer) if promised.contains(&offer.service) => {}
                Some(offer) => {
                    started |= offer.class == Class::Free;
                    self.take_up(&offer, &want);
                    promised.insert(offer.service);
                }
                None => hopeless.extend(asks),
            }
        }
        self.wake_room_at(wake);
    }

    fn take_up(&mut self, offer: &Offer, want: &Want) {
        if offer.class == Class::Free {
            self.start(offer);
        } else {
            for id in &offer.devices {
                if let Some(shelf) = self.index.shelves.get_mut(id) {
                    shelf.promised_mb = shelf.promised_mb.saturating_add(offer.need_mb);
                }
            }
            for one in &offer.yields {
                self.make_yield(one, want, &offer.service);
            }
        }
        self.look_again();
    }

    /// What a want asks of any GPU; none if it may use only some, so that others say nothing about it.
    fn asks(&self, want: &Want) -> Option<Hopeless> {
        let since = want.since?;
        let mut asks: Option<Hopeless> = None;
        for known in self.startable_for(want) {
            if !known.service.nodes.is_empty() || !known.service.devices.is_empty() {
                return None;
            }
            let (need_mb, gpus) = (known.need_mb(&self.cluster.policy), known.service.gpus);
            if asks.is_some_and(|asks| (asks.need_mb, asks.gpus) != (need_mb, gpus)) {
                return None;
            }
            asks = Some(Hopeless { priority: want.priority, since, further: want.further, need_mb, gpus });
        }
        asks
    }

    /// Whether an earlier start of the same look has not served this want already.
    fn still_wanted(&self, want: &Want) -> bool {
        let Some(index) = self.index.types.get(&want.kind) else {
            return false;
        };
        match &want.pin {
            Some(_) => self.startable_for(want).next().is_some(),
            None if want.further => index.queue.len() > index.coming_slots,
            None => index.live.is_empty(),
        }
    }

    fn start(&mut self, offer: &Offer) {
        let spot = Spot { node: offer.node.clone(), devices: offer.devices.clone(), vram_mb: offer.need_mb };
        let generation = self.cluster.next_generation.max(1);
        self.decide(Action::Start { service: offer.service.clone(), spot, generation });
    }

    fn make_yield(&mut self, one: &Yield, want: &Want, room_for: &ServiceName) {
        let Some(known) = self.cluster.services.get(&one.service) else {
            return;
        };
        let reason = StopReason::Evicted { room_for: room_for.clone() };
        let (generation, leaving) = (known.container.generation, known.container.is_leaving());
        match one.class {
            Class::Free | Class::Wait => {}
            Class::Evict => {
                if self.may_operate_on(&one.service) {
                    self.stop(&one.service, reason);
                }
            }
            Class::Drain | Class::Preempt => {
                if !leaving {
                    self.decide(Action::Drain { service: one.service.clone(), generation, reason });
                }
                if one.class == Class::Preempt {
                    self.interrupt_all(&one.service, want);
                }
            }
        }
    }

    fn interrupt_all(&mut self, service: &ServiceName, want: &Want) {
        let by = self.cluster.jobs.get(&want.place).map(|job| job.spec.id.clone());
        let grace = self.cluster.policy.interrupt_grace_ms;
        let Some(known) = self.cluster.services.get(service) else {
            return;
        };
        let jobs = known.running.iter().filter_map(|place| self.cluster.jobs.get(place));
        let jobs = jobs.filter(|job| job.run.as_ref().is_some_and(|run| run.interrupt.is_none()));
        // Whoever makes way for a job is resumed when that job has ended; who makes way for requests goes back to the queue.
        let cause = if by.is_some() { Interruption::Preempted { by } } else { Interruption::Drained };
        let actions: Vec<_> = jobs.filter_map(|job| Action::interrupt(job, cause.clone(), self.now, grace)).collect();
        actions.into_iter().for_each(|action| self.decide(action));
    }
}
