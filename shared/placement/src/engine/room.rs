//! Gives GPUs to those who want room, in their order, and makes the room where it can be made.

use super::offer::{Class, Shelves};
use super::shelf::{Wake, Yield};
use super::{Engine, Offer, Want};
use crate::{Action, GpuId, Interruption, ServiceName, Spot, StopReason};

/// What was asked for in vain. Who is no more urgent, came no earlier and asks for no less asks in vain too, and not
/// before the moment at which this is looked at again.
#[derive(Clone, Copy)]
struct Hopeless {
    priority: i32,
    since: domain::Time,
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
        let mut shelves = self.shelves();
        let mut wake = Wake::default();
        let mut hopeless: Vec<Hopeless> = Vec::new();
        for want in wants {
            if !self.still_wanted(&want) {
                continue;
            }
            let asks = self.asks(&want);
            if asks.as_ref().is_some_and(|asks| hopeless.iter().any(|other| other.covers(asks))) {
                continue;
            }
            let Some(offer) = self.best_offer(&want, &shelves, &mut wake) else {
                hopeless.extend(asks);
                continue;
            };
            if offer.class == Class::Free {
                self.start(&offer);
                self.look_again(&mut shelves, &offer.devices);
                continue;
            }
            for id in &offer.devices {
                if let Some(shelf) = shelves.get_mut(id) {
                    shelf.promised_mb = shelf.promised_mb.saturating_add(offer.need_mb);
                }
            }
            for one in &offer.yields {
                self.make_yield(one, &want, &offer.service, &mut shelves);
            }
        }
        self.wake_room_at(wake.0);
    }

    /// What a want asks of any GPU; none if it may use only some, so that others say nothing about it.
    fn asks(&self, want: &Want) -> Option<Hopeless> {
        let since = want.since(&self.cluster)?;
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

    pub(crate) fn shelves(&self) -> Shelves {
        let heard = self.cluster.nodes.values().filter(|node| node.lost_since.is_none());
        let ids = heard.flat_map(|node| node.devices.iter());
        ids.filter_map(|id| Some((id.clone(), self.shelf(self.cluster.devices.get(id)?)))).collect()
    }

    /// Whether an earlier start of the same look has not served this want already.
    fn still_wanted(&self, want: &Want) -> bool {
        let Some(index) = self.index.types.get(&want.kind) else { return false };
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

    /// Refreshes what changed of some GPUs; promises stay.
    fn look_again(&self, shelves: &mut Shelves, ids: &[GpuId]) {
        for id in ids {
            if let (Some(shelf), Some(device)) = (shelves.get_mut(id), self.cluster.devices.get(id)) {
                *shelf = super::shelf::Shelf { promised_mb: shelf.promised_mb, ..self.shelf(device) };
            }
        }
    }

    fn make_yield(&mut self, one: &Yield, want: &Want, room_for: &ServiceName, shelves: &mut Shelves) {
        let Some(known) = self.cluster.services.get(&one.service) else { return };
        let reason = StopReason::Evicted { room_for: room_for.clone() };
        let (generation, leaving) = (known.container.generation, known.container.is_leaving());
        match one.class {
            Class::Free | Class::Wait => {}
            Class::Evict => {
                if !self.may_operate_on(&one.service) {
                    return;
                }
                let ids = known.container.spot.as_ref().map(|spot| spot.devices.clone()).unwrap_or_default();
                self.stop(&one.service, reason);
                self.look_again(shelves, &ids);
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
        let Some(known) = self.cluster.services.get(service) else { return };
        let jobs = known.running.iter().filter_map(|place| self.cluster.jobs.get(place));
        let jobs = jobs.filter(|job| job.run.as_ref().is_some_and(|run| run.interrupt.is_none()));
        let cause = Interruption::Preempted { by };
        let actions: Vec<_> = jobs.filter_map(|job| Action::interrupt(job, cause.clone(), self.now, grace)).collect();
        actions.into_iter().for_each(|action| self.decide(action));
    }
}
