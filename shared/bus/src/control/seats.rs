//! Seats and offers: what proxies need of services, and how services that serve models stand.

use super::write;
use crate::nodes::Tail;
use crate::{Bus, BusError, streams, subjects};
use async_nats::HeaderMap;
use domain::control::{OfferUpdate, Seats};
use std::time::Duration;

impl Bus {
    /// A proxy that needs something says so at least this often.
    pub const SEAT_HEARTBEAT: Duration = Duration::from_secs(3);
    /// A proxy that has said nothing for this long needs nothing any more.
    pub const SEAT_PATIENCE: Duration = Duration::from_secs(10);

    /// Replaces what a proxy needs. Not tried again: it is said again soon.
    pub async fn say_seats(&self, seats: &Seats) -> Result<(), BusError> {
        let (what, subject) = ("what requests need", subjects::seats(&seats.holder));
        self.inner.publish(what, subject, HeaderMap::new(), write(what, seats)?).await.map(|_| ())
    }

    /// What proxies need: first what each last said, then what they say. A lost connection makes it begin again.
    pub fn seats(&self) -> SeatTail {
        SeatTail(Tail::new(self.inner.clone(), streams::SEATS, 1, true))
    }

    /// Replaces how a service stands for requests.
    pub async fn offer(&self, update: &OfferUpdate) -> Result<(), BusError> {
        let (what, subject) = ("an offer", subjects::offer(&update.service));
        self.inner.publish_surely(what, &subject, HeaderMap::new(), &write(what, update)?).await.map(|_| ())
    }

    /// How services that serve models stand: first how each last stood, then what changes. A lost connection makes it
    /// begin again.
    pub fn offers(&self) -> OfferTail {
        OfferTail(Tail::new(self.inner.clone(), streams::OFFERS, 1, true))
    }
}

/// What proxies need, as it comes.
pub struct SeatTail(Tail<Seats>);

impl SeatTail {
    /// The next. Waits for ever.
    pub async fn next(&mut self) -> Seats {
        self.0.next().await.1
    }
}

/// Offers as they come.
pub struct OfferTail(Tail<OfferUpdate>);

impl OfferTail {
    /// The next. Waits for ever.
    pub async fn next(&mut self) -> OfferUpdate {
        self.0.next().await.1
    }
}
