//! A bucket that fills at a steady rate or by what is poured in, and a bounded set of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers that are told apart at once.
const CALLERS: usize = 16_384;

/// Holds up to `burst`, and fills by itself at a rate. It may go below zero when something is charged after the fact.
#[derive(Debug)]
pub(crate) struct Bucket {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Option<Instant>,
    /// When something may be poured in again, as whoever pours said last.
    pouring_at: Option<Instant>,
    taken: f64,
}

impl Bucket {
    /// A full one that fills by itself.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        let per_second = f64::from(per_minute.max(1)) / 60.0;
        Self { state: Mutex::new(State { per_second, burst, level: burst, at: None, pouring_at: None, taken: 0.0 }) }
    }

    /// An empty one that holds what is poured in.
    pub(crate) fn poured() -> Self {
        let state = State { per_second: 0.0, burst: f64::INFINITY, level: 0.0, at: None, pouring_at: None, taken: 0.0 };
        Self { state: Mutex::new(state) }
    }

    /// Takes one out, or says when one will be there.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        self.with(now, |state| {
            if state.level >= 1.0 {
                state.level -= 1.0;
                state.taken += 1.0;
                return Ok(());
            }
            Err(state.until(1.0 - state.level, now))
        })
    }

    /// Whether anything is left; otherwise when.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Duration> {
        self.with(now, |state| if state.level > 0.0 { Ok(()) } else { Err(state.until(-state.level, now)) })
    }

    /// Takes so much out, whether it is there or not.
    pub(crate) fn charge(&self, now: Instant, amount: f64) {
        self.with(now, |state| {
            state.level -= amount;
            state.taken += amount;
        });
    }

    /// From now on it fills at that rate up to that much; what is above it flows over.
    pub(crate) fn fill_by(&self, now: Instant, per_minute: f64, burst: f64) {
        self.with(now, |state| {
            (state.per_second, state.burst) = (per_minute / 60.0, burst);
            state.level = state.level.min(burst);
        });
    }

    /// Pours so much in, and says when the next may be had if that was nothing.
    pub(crate) fn pour(&self, now: Instant, amount: f64, next: Option<Duration>) {
        self.with(now, |state| {
            state.level += amount;
            state.pouring_at = next.map(|next| now + next);
        });
    }

    /// What is in it; below zero, what is owed.
    pub(crate) fn level(&self, now: Instant) -> f64 {
        self.with(now, |state| state.level)
    }

    /// How much was taken since this was last asked.
    pub(crate) fn taken(&self, now: Instant) -> f64 {
        self.with(now, |state| std::mem::take(&mut state.taken))
    }

    fn is_full(&self, now: Instant) -> bool {
        self.with(now, |state| state.level >= state.burst)
    }

    fn with<T>(&self, now: Instant, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        state.level = (state.level + since.as_secs_f64() * state.per_second).min(state.burst);
        state.at = Some(now);
        act(&mut state)
    }
}

impl State {
    fn until(&self, missing: f64, now: Instant) -> Duration {
        if self.per_second > 0.0 {
            return Duration::from_secs_f64((missing / self.per_second).clamp(0.001, 3_600.0));
        }
        let next = self.pouring_at.map(|at| at.saturating_duration_since(now));
        next.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(1))
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
