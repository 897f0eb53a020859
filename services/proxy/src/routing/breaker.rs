//! Takes a replica out of service after failures in a row, and lets single requests try whether it is back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open it.
const THRESHOLD: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Closed: all pass. Open: none until the pause is over; then one request at a time tries.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// How long no request may pass; zero if one may.
    pub(crate) fn closed_for(&self, now: Instant) -> Duration {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Says that a request goes now. While half open, that keeps others out for one more pause.
    pub(crate) fn begins(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open_until.is_some_and(|until| until <= now) {
            state.open_until = Some(now + pause(state.failures));
        }
    }

    /// An answer came.
    pub(crate) fn succeeded(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// None came, or one that speaks against the replica.
    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= THRESHOLD {
            state.open_until = Some(now + pause(state.failures));
        }
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(THRESHOLD).min(8);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}
