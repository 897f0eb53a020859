//! A bucket that fills at a steady rate, and a bounded set of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers that are told apart at once.
const CALLERS: usize = 16_384;

/// Holds up to `burst`, and fills by `per_minute` in a minute. It may go below zero when something is charged after
/// the fact.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    state: Mutex<(f64, Option<Instant>)>,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        Self { per_second: f64::from(per_minute.max(1)) / 60.0, burst, state: Mutex::new((burst, None)) }
    }

    /// Takes one out, or says when one will be there.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        self.with(now, |level| {
            if *level >= 1.0 {
                *level -= 1.0;
                return Ok(());
            }
            Err(self.until(1.0 - *level))
        })
    }

    /// Whether anything is left; otherwise when.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Duration> {
        self.with(now, |level| if *level > 0.0 { Ok(()) } else { Err(self.until(-*level)) })
    }

    /// Takes so much out, whether it is there or not.
    pub(crate) fn charge(&self, now: Instant, amount: f64) {
        self.with(now, |level| *level -= amount);
    }

    fn is_full(&self, now: Instant) -> bool {
        self.with(now, |level| *level >= self.burst)
    }

    fn until(&self, missing: f64) -> Duration {
        Duration::from_secs_f64((missing / self.per_second).clamp(0.001, 3_600.0))
    }

    fn with<T>(&self, now: Instant, act: impl FnOnce(&mut f64) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state.1.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        state.0 = (state.0 + since.as_secs_f64() * self.per_second).min(self.burst);
        state.1 = Some(now);
        act(&mut state.0)
    }
}

/// A bucket for each caller.
#[derive(Debug)]
pub(crate) struct Buckets {
    per_minute: u32,
    burst: u32,
    each: Mutex<HashMap<String, Bucket>>,
}

impl Buckets {
    /// All of that size.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        Self { per_minute, burst, each: Mutex::default() }
    }

    /// Takes one out of the caller's.
    pub(crate) fn take(&self, caller: &str, now: Instant) -> Result<(), Duration> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if !each.contains_key(caller) {
            if each.len() >= CALLERS {
                // A full bucket remembers nothing.
                each.retain(|_, bucket| !bucket.is_full(now));
            }
            if each.len() >= CALLERS {
                return Err(Duration::from_secs(1));
            }
            each.insert(caller.to_owned(), Bucket::new(self.per_minute, self.burst));
        }
        each.get(caller).map_or(Ok(()), |bucket| bucket.take(now))
    }
}
