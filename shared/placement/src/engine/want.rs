//! Who wants room: queues that no service serves, requests that wait for one service, services a person asked for, and
//! further services of busy types.

use super::Engine;
use super::index::TypeIndex;
use super::timers::Owner;
use crate::{Cluster, Place, ServiceName, ServiceType};
use domain::Time;

/// A wish for the room of one more service, ordered by urgency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Want {
    /// The priority of the first who waits.
    pub(crate) priority: i32,
    /// Their place; the largest for a further service, which so comes after every first one.
    pub(crate) place: Place,
    pub(crate) kind: ServiceType,
    /// The one service that will do.
    pub(crate) pin: Option<ServiceName>,
    /// Only room that is free, or idle for long, is taken.
    pub(crate) further: bool,
    /// Since when it has been waited for; none for a further service and for a person's wish.
    pub(crate) since: Option<Time>,
}

pub(crate) const NOBODY: Place = Place(u64::MAX);

impl Engine {
    /// Notes who of a type wants room, and asks for another look at the room if that has changed.
    pub(super) fn note_wants(&mut self, kind: &ServiceType) {
        self.index.of_type(kind);
        let Some(index) = self.index.types.get_mut(kind) else { return };
        let wants = wants_of(kind, index, &self.cluster);
        let heads = index.queue.first().into_iter().chain(index.pinned.values().filter_map(|queue| queue.first()));
        let heads: Vec<i32> = heads.map(|(priority, _)| *priority).collect();
        let heads_changed = index.heads != heads;
        if heads_changed {
            index.heads = heads;
        }
        if index.wants != wants {
            let before = std::mem::replace(&mut index.wants, wants.clone());
            before.iter().for_each(|want| {
                self.index.wanting.remove(want);
            });
            self.index.wanting.extend(wants);
            self.index.dirty.room = true;
        }
        if heads_changed {
            self.index.dirty.room |= !self.index.wanting.is_empty();
            let services = self.index.of_type(kind).services.clone();
            services.iter().for_each(|name| self.stale(name));
        }
    }

    /// Everybody who wants room, the most urgent first.
    pub(super) fn all_wants(&self) -> Vec<Want> {
        let asked = self.index.asked.iter().filter_map(|name| {
            let known = self.cluster.services.get(name)?;
            Some(Want {
                priority: i32::MIN,
                place: NOBODY,
                kind: known.service.service_type.clone(),
                pin: Some(name.clone()),
                further: false,
                since: None,
            })
        });
        // A person's wish comes before everything else.
        let mut wants: Vec<Want> = asked.collect();
        wants.sort_unstable();
        wants.extend(self.index.wanting.iter().cloned());
        wants
    }

    pub(super) fn wake_room_at(&mut self, at: Option<Time>) {
        self.index.timers.set(Owner::Room, at);
    }
}

fn wants_of(kind: &ServiceType, index: &TypeIndex, cluster: &Cluster) -> Vec<Want> {
    let mut wants = Vec::new();
    if index.startable.is_empty() {
        return wants;
    }
    let since = |place| cluster.jobs.get(&place).map(|job| job.queued_at);
    let want =
        |priority, place, pin, further| Want { priority, place, kind: kind.clone(), pin, further, since: since(place) };
    if let Some((priority, place)) = index.queue.first() {
        if index.live.is_empty() {
            wants.push(want(*priority, *place, None, false));
        } else if index.queue.len() > index.coming_slots {
            wants.push(want(*priority, NOBODY, None, true));
        }
    }
    for (pin, (priority, place)) in &index.wished {
        if index.startable.contains(pin) {
            let seats = cluster.services.get(pin).into_iter().flat_map(|known| known.seats.values());
            let since = seats.filter(|seat| seat.place == *place).map(|seat| seat.since).next();
            wants.push(Want { since, ..want(*priority, *place, Some(pin.clone()), false) });
        }
    }
    for (pin, queue) in &index.pinned {
        if let (Some((priority, place)), true) = (queue.first(), index.startable.contains(pin)) {
            wants.push(want(*priority, *place, Some(pin.clone()), false));
        }
    }
    wants
}
