//! Seats: what the requests of one proxy want of a service. A seat that waits is a wish for its start; one that runs keeps
//! it from being stopped.

use crate::{Change, Cluster, Holder, Place, Refusal, ServiceName};
use domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A proxy's seat at a service, for all of its requests there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its place among jobs and other seats, given anew each time that its requests begin to wait.
    pub place: Place,
    /// The most urgent of its requests; lower is more urgent, as with jobs.
    pub priority: i32,
    /// Since when it has been as it is.
    pub since: Time,
    /// Whether requests wait for the service.
    pub waiting: bool,
    /// Whether the service works at requests.
    pub running: bool,
}

/// What a proxy says that its requests want of a service now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The most urgent of them.
    pub priority: i32,
    /// Whether some wait for it.
    pub waiting: bool,
    /// Whether it works at some.
    pub running: bool,
}

impl Cluster {
    /// What has to happen so that a proxy's seats are what it says; nothing if they are. Services that are not known are
    /// passed over.
    pub fn seat_changes(&self, holder: &Holder, wanted: &BTreeMap<ServiceName, Wanted>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (service, known) in &self.services {
            let seat = known.seats.get(holder);
            match (wanted.get(service), seat) {
                (Some(wanted), _) if seat.is_some_and(|seat| seat.is(wanted)) => {}
                (Some(Wanted { priority, waiting, running }), _) => changes.push(Change::SeatTaken {
                    service: service.clone(),
                    holder: holder.clone(),
                    priority: *priority,
                    waiting: *waiting,
                    running: *running,
                }),
                (None, Some(_)) => {
                    changes.push(Change::SeatLeft { service: service.clone(), holder: holder.clone() });
                }
                (None, None) => {}
            }
        }
        changes
    }

    pub(crate) fn seat_taken(
        &mut self,
        name: &ServiceName,
        holder: &Holder,
        wanted: Wanted,
        at: Time,
    ) -> Result<(), Refusal> {
        let next = self.next_place;
        let registered = self.known(name)?;
        let before = registered.seats.get(holder);
        let Wanted { priority, waiting, running } = wanted;
        let stays = before.filter(|seat| seat.waiting || !waiting);
        let (place, since) = stays.map_or((Place(next), at), |seat| (seat.place, seat.since));
        let seat = Seat { place, priority, since, waiting, running };
        registered.seats.insert(holder.clone(), seat);
        registered.container.idle_since = None;
        if place == Place(next) {
            self.next_place += 1;
        }
        Ok(())
    }

    pub(crate) fn seat_left(&mut self, name: &ServiceName, holder: &Holder, at: Time) -> Result<(), Refusal> {
        let registered = self.known(name)?;
        if registered.seats.remove(holder).is_none() {
            return Err(Refusal::Unknown { name: holder.to_string() });
        }
        let up = !(registered.container.is_stopped() || registered.container.in_operation());
        if up && registered.has_nothing_to_do() {
            registered.container.idle_since = Some(at);
        }
        Ok(())
    }
}

impl Seat {
    fn is(&self, wanted: &Wanted) -> bool {
        (self.priority, self.waiting, self.running) == (wanted.priority, wanted.waiting, wanted.running)
    }
}
