//! The counter that all proxies share for one key: how much of its minute is left, and who holds how many places.
//!
//! Pure: what a proxy takes out is a function of the counter, the time and what it asks for. Nobody is ever given more
//! than there is, so the sum over all proxies keeps the limit; what a proxy holds and does not use comes back when it is
//! given back, or with time.

use domain::keys::KeyLimits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A proxy that has not been heard of for so long holds nothing any more, in milliseconds.
pub(super) const HOLDS_MS: u64 = 15_000;
/// Slices in which a minute's limit is given out while much is left, over all proxies.
const SLICES: f64 = 10.0;

/// Kept on the bus, one for each key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests: Option<Level>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Level>,
    /// By the proxy's name.
    #[serde(default)]
    holders: BTreeMap<String, Holder>,
}

/// How much was left at that time, in milliseconds since 1970. Below zero, more was used than there was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Level {
    left: f64,
    at: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Holder {
    places: u32,
    at: u64,
}

/// What a proxy asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ask {
    /// Requests that it gives back, or has served without having been given them (below zero).
    pub(super) requests_back: f64,
    /// Whether it needs requests.
    pub(super) requests: bool,
    /// Tokens that it gives back, or owes (below zero).
    pub(super) tokens_back: f64,
    /// Whether it needs tokens.
    pub(super) tokens: bool,
    /// Places that it needs in all.
    pub(super) places: u32,
    /// Whether some more places are welcome, so that it need not come back for each.
    pub(super) more_places: bool,
}

/// What it got.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Grant {
    pub(super) requests: f64,
    /// Milliseconds until there is one, if it got none.
    pub(super) requests_in: u64,
    pub(super) tokens: f64,
    pub(super) tokens_in: u64,
    /// Places in all, which may be fewer than it needs.
    pub(super) places: u32,
    /// Proxies that serve this key, this one included.
    pub(super) proxies: u32,
}

impl Counter {
    /// Takes out what that proxy asks for, as far as it is there.
    pub(super) fn take(&mut self, limits: &KeyLimits, who: &str, ask: &Ask, now: u64) -> Grant {
        self.holders.retain(|_, holder| holder.at + HOLDS_MS >= now);
        let proxies = 1 + self.holders.keys().filter(|name| *name != who).count();
        let mut grant = Grant { proxies: u32::try_from(proxies).unwrap_or(u32::MAX), ..Grant::default() };
        if let Some(limit) = limits.requests_per_minute {
            let level = self.requests.get_or_insert(Level { left: f64::from(limit), at: now });
            level.fill(limit, now);
            level.left = (level.left + ask.requests_back).min(f64::from(limit));
            if ask.requests {
                (grant.requests, grant.requests_in) = level.slice(limit, proxies, 1.0);
            }
        }
        if let Some(limit) = limits.tokens_per_minute {
            let level = self.tokens.get_or_insert(Level { left: f64::from(limit), at: now });
            level.fill(limit, now);
            level.left = (level.left + ask.tokens_back).min(f64::from(limit));
            if ask.tokens {
                (grant.tokens, grant.tokens_in) = level.slice(limit, proxies, f64::MIN_POSITIVE);
            }
        }
        grant.places = self.place(limits.concurrent, who, ask, proxies);
        self.holders.insert(who.to_owned(), Holder { places: grant.places, at: now });
        grant
    }

    fn place(&self, limit: Option<u32>, who: &str, ask: &Ask, proxies: usize) -> u32 {
        let Some(limit) = limit else { return 0 };
        let others = self.holders.iter().filter(|(name, _)| *name != who).map(|(_, holder)| holder.places);
        let free = limit.saturating_sub(others.fold(0, u32::saturating_add));
        let reserve = free.saturating_sub(ask.places) / (2 * u32::try_from(proxies).unwrap_or(1));
        (ask.places + if ask.more_places { reserve } else { 0 }).min(free)
    }
}

impl Level {
    fn fill(&mut self, limit: u32, now: u64) {
        let since = now.saturating_sub(self.at) as f64 / 60_000.0;
        self.left = (self.left + since * f64::from(limit)).min(f64::from(limit));
        // A clock that is ahead may fill it early once, and never twice.
        self.at = self.at.max(now);
    }

    /// A part of what is left, smaller the less there is, so that little lies idle with a proxy that does not need it; and
    /// else when there will be `least`.
    fn slice(&mut self, limit: u32, proxies: usize, least: f64) -> (f64, u64) {
        if self.left < least {
            let wait = (least - self.left).max(0.0) / f64::from(limit.max(1)) * 60_000.0;
            return (0.0, wait.ceil().clamp(1.0, 3_600_000.0) as u64);
        }
        let usual = f64::from(limit) / (SLICES * proxies as f64);
        let most = (self.left / (2 * proxies) as f64).min(usual);
        let taken = most.floor().max(1.0).min(self.left);
        self.left -= taken;
        (taken, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(per_minute: u32, concurrent: u32) -> KeyLimits {
        KeyLimits {
            requests_per_minute: Some(per_minute),
            tokens_per_minute: Some(per_minute),
            concurrent: Some(concurrent),
            ..KeyLimits::default()
        }
    }

    const WANTS: Ask =
        Ask { requests_back: 0.0, requests: true, tokens_back: 0.0, tokens: true, places: 1, more_places: true };

    #[test]
    fn a_minute_is_given_out_in_slices_and_then_as_it_fills() {
        let (mut counter, limits) = (Counter::default(), limits(60, 5));
        let mut given = 0.0;
        loop {
            let grant = counter.take(&limits, "a", &WANTS, 1_000);
            if grant.requests == 0.0 {
                assert_eq!(grant.requests_in, 1_000);
                break;
            }
            assert!(grant.requests <= 6.0, "{grant:?}");
            given += grant.requests;
        }
        assert_eq!(given, 60.0);
        assert_eq!(counter.take(&limits, "b", &WANTS, 2_000).requests, 1.0);
        assert_eq!(counter.take(&limits, "a", &WANTS, 2_000).requests, 0.0);
    }

    #[test]
    fn what_is_owed_is_paid_before_anything_is_given() {
        let (mut counter, limits) = (Counter::default(), limits(60, 5));
        let owes = Ask { tokens_back: -90.0, ..WANTS };
        let grant = counter.take(&limits, "a", &owes, 0);
        assert_eq!((grant.tokens, grant.tokens_in), (0.0, 30_000));
        assert!(counter.take(&limits, "b", &WANTS, 31_000).tokens >= 1.0);
    }

    #[test]
    fn places_of_a_proxy_that_is_gone_are_free_again() {
        let (mut counter, limits) = (Counter::default(), limits(60, 4));
        assert_eq!(counter.take(&limits, "a", &Ask { places: 4, ..Ask::default() }, 0).places, 4);
        assert_eq!(counter.take(&limits, "b", &WANTS, HOLDS_MS).places, 0);
        let grant = counter.take(&limits, "b", &WANTS, HOLDS_MS + 1);
        assert_eq!((grant.places, grant.proxies), (1 + 1, 1), "one, and half of what is free");
    }

    proptest! {
        #[test]
        fn no_order_of_asking_gives_out_more_than_there_is(
            steps in proptest::collection::vec((0..4_usize, 0..2_000_u64, 0..4_u32, any::<bool>()), 1..200),
        ) {
            let (mut counter, limits) = (Counter::default(), limits(120, 6));
            let (mut now, mut given, mut places) = (0, 0.0, [0_u32; 4]);
            for (who, later, needs, back) in steps {
                now += later;
                let mut ask = Ask { places: needs, ..WANTS };
                if back && given >= 1.0 {
                    ask.requests_back = 1.0;
                    given -= 1.0;
                }
                let grant = counter.take(&limits, &who.to_string(), &ask, now);
                given += grant.requests;
                places[who] = grant.places;
                prop_assert!(given <= 120.0 + now as f64 / 60_000.0 * 120.0 + 1e-6);
                let held: u32 = counter.holders.values().map(|holder| holder.places).sum();
                prop_assert!(held <= 6, "{places:?}");
            }
        }
    }
}
