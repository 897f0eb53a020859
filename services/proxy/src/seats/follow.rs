//! Follows the scheduler's offers.

use crate::proxy::Proxy;
use bus::Bus;
use domain::control::{ModelOffer, OfferUpdate, ServiceName};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a new leader has to say everything anew before what those before it said is dropped.
const GRACE: Duration = Duration::from_secs(5);

/// Takes offers in for as long as it is polled.
pub(crate) async fn follow_offers(proxy: &Proxy, bus: &Bus) {
    let mut offers = bus.offers();
    let mut known = Known::default();
    loop {
        let due = known.drop_at;
        let changed = tokio::select! {
            update = offers.next() => known.take(update, Instant::now()),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => known.drop_old(),
        };
        if changed {
            proxy.set_offers(known.offers.values().map(|(_, offer)| offer.clone()).collect());
        }
    }
}

/// The offers that hold, each with the epoch of who made it.
#[derive(Default)]
pub(super) struct Known {
    epoch: u64,
    pub(super) offers: BTreeMap<ServiceName, (u64, ModelOffer)>,
    pub(super) drop_at: Option<Instant>,
}

impl Known {
    /// Takes an update; says whether anything changed.
    pub(super) fn take(&mut self, update: OfferUpdate, now: Instant) -> bool {
        let OfferUpdate { epoch, service, offer } = update;
        if epoch < self.epoch && self.offers.get(&service).is_some_and(|(known, _)| *known > epoch) {
            return false;
        }
        if epoch > self.epoch {
            self.epoch = epoch;
        }
        let changed = match offer {
            Some(offer) => {
                let next = (epoch, *offer);
                let same = self.offers.get(&service) == Some(&next);
                self.offers.insert(service, next);
                !same
            }
            None => self.offers.remove(&service).is_some(),
        };
        if self.drop_at.is_none() && self.offers.values().any(|(known, _)| *known < self.epoch) {
            self.drop_at = Some(now + GRACE);
        }
        changed
    }

    /// Drops what was not said anew by the one who leads now.
    pub(super) fn drop_old(&mut self) -> bool {
        self.drop_at = None;
        let (before, epoch) = (self.offers.len(), self.epoch);
        self.offers.retain(|_, (known, _)| *known >= epoch);
        self.offers.len() != before
    }
}
