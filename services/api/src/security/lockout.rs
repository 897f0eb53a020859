//! Doubling lockout of addresses that keep presenting wrong tokens. In memory, per process, bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered at most.
const ADDRESSES: usize = 10_000;

/// When and for how long an address is locked out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LockoutPolicy {
    /// Consecutive failures that lock.
    pub after: u32,
    /// The first lock; each further failure doubles it.
    pub base: Duration,
    /// The longest lock.
    pub max: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    locked_until: Instant,
    last: Instant,
}

/// The failures of every address.
#[derive(Debug)]
pub struct Lockouts {
    policy: LockoutPolicy,
    entries: Mutex<HashMap<IpAddr, Entry>>,
}

impl Lockouts {
    /// None yet.
    pub fn new(policy: LockoutPolicy) -> Self {
        Self { policy, entries: Mutex::new(HashMap::new()) }
    }

    /// How long the address stays locked out, if it is.
    pub fn locked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = entries.get(&address)?.locked_until.saturating_duration_since(now);
        (!rest.is_zero()).then_some(rest)
    }

    /// Counts a failure; answers with the lock that it caused, if any.
    pub fn failed(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ADDRESSES && !entries.contains_key(&address) {
            forget_oldest(&mut entries);
        }
        let entry = entries.entry(address).or_insert(Entry { failures: 0, locked_until: now, last: now });
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
        let lock = self.policy.lock(entry.failures)?;
        entry.locked_until = now + lock;
        Some(lock)
    }

    /// A right token clears the counter.
    pub fn succeeded(&self, address: IpAddr) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
    }
}

impl LockoutPolicy {
    fn lock(self, failures: u32) -> Option<Duration> {
        let over = failures.checked_sub(self.after.max(1))?;
        let factor = 2_u32.checked_pow(over.min(31)).unwrap_or(u32::MAX);
        Some(self.base.checked_mul(factor).unwrap_or(self.max).min(self.max)).filter(|lock| !lock.is_zero())
    }
}

/// Makes room for a tenth of the addresses at once, so that a flood does not sort the map for each newcomer.
fn forget_oldest(entries: &mut HashMap<IpAddr, Entry>) {
    let mut ages: Vec<Instant> = entries.values().map(|entry| entry.last).collect();
    let (_, edge, _) = ages.select_nth_unstable(ADDRESSES / 10);
    let edge = *edge;
    entries.retain(|_, entry| entry.last > edge);
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LockoutPolicy =
        LockoutPolicy { after: 5, base: Duration::from_secs(1), max: Duration::from_secs(60) };

    #[test]
    fn the_fifth_failure_locks_and_each_further_one_doubles_up_to_the_limit() {
        let lockouts = Lockouts::new(POLICY);
        let (address, now) = (IpAddr::from([10, 0, 0, 1]), Instant::now());
        let locks: Vec<Option<u64>> =
            (0..12).map(|_| lockouts.failed(address, now).map(|lock| lock.as_secs())).collect();
        let expected = [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(locks, expected.map(|seconds| (seconds > 0).then_some(seconds)));
        assert!(lockouts.locked(address, now).is_some());
        assert_eq!(lockouts.locked(address, now + Duration::from_secs(60)), None);
        lockouts.succeeded(address);
        assert_eq!(lockouts.failed(address, now), None);
    }

    #[test]
    fn a_flood_of_addresses_stays_within_the_bound() {
        let lockouts = Lockouts::new(POLICY);
        let begin = Instant::now();
        for number in 0..30_000_u32 {
            lockouts.failed(IpAddr::from(number.to_be_bytes()), begin + Duration::from_millis(number.into()));
        }
        assert!(lockouts.entries.lock().unwrap().len() <= ADDRESSES);
    }
}
