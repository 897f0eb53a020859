//! What proxies need of services, as events of the cluster. Only what differs from what is known becomes one.

use super::Desk;
use crate::board::Said;
use crate::names::As;
use bus::Bus;
use domain::Time;
use domain::control::Seats;
use placement::{Holder, ServiceName, Wanted};
use std::collections::BTreeMap;

impl Desk {
    /// Takes in what a proxy needs. What it said before, and is read late, changes nothing.
    pub(crate) fn seats(&mut self, seats: Seats) {
        let holder = Holder::from(seats.holder.as_str());
        if self.board.said.get(&holder).is_some_and(|said| seats.revision < said.seats.revision) {
            return;
        }
        let wanted = seats.wishes.iter().map(|(service, wish)| {
            let running = wish.in_use_since.is_some();
            (service.cast(), Wanted { priority: wish.priority, waiting: wish.waiting, running })
        });
        let wanted: BTreeMap<ServiceName, Wanted> = wanted.collect();
        self.seat(&holder, &wanted);
        if wanted.is_empty() {
            self.board.said.remove(&holder);
        } else {
            let until = self.patience();
            self.board.said.insert(holder, Said { seats, until });
        }
    }

    /// A new leader gives every proxy of the log the whole patience to be heard.
    pub(super) fn await_holders(&mut self) {
        let until = self.patience();
        let holders = self.board.cluster().services.values().flat_map(|known| known.seats.keys().cloned());
        let holders: Vec<Holder> = holders.collect();
        for holder in holders {
            let seats = Seats { holder: holder.to_string(), ..Seats::default() };
            self.board.said.entry(holder).or_insert(Said { seats, until });
        }
    }

    /// Takes the seats of proxies that have been silent too long.
    pub(super) fn clear_seats(&mut self) {
        let silent = self.board.said.iter().filter(|(_, said)| said.until <= self.now);
        let silent: Vec<Holder> = silent.map(|(holder, _)| holder.clone()).collect();
        for holder in silent {
            tracing::info!(%holder, "a proxy is silent; its requests hold nothing any more");
            self.board.said.remove(&holder);
            self.seat(&holder, &BTreeMap::new());
        }
    }

    /// When the next proxy has been silent too long.
    pub(super) fn seats_due(&self) -> Option<Time> {
        self.board.said.values().map(|said| said.until).min()
    }

    fn seat(&mut self, holder: &Holder, wanted: &BTreeMap<ServiceName, Wanted>) {
        for change in self.board.cluster().seat_changes(holder, wanted) {
            if let Some(refusal) = self.happened(change) {
                tracing::warn!(%refusal, %holder, "a seat is not taken");
            }
        }
    }

    fn patience(&self) -> Time {
        self.now.plus_micros(i64::try_from(Bus::SEAT_PATIENCE.as_micros()).unwrap_or(i64::MAX))
    }
}
