//! Arithmetic of moments in milliseconds.

use domain::Time;

/// So many milliseconds later.
pub(crate) fn after(time: Time, ms: u64) -> Time {
    time.plus_micros(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000))
}

/// Milliseconds from `earlier` to `later`; zero if they are the other way round.
pub(crate) fn since_ms(earlier: Time, later: Time) -> u64 {
    u64::try_from(later.as_micros().saturating_sub(earlier.as_micros()) / 1_000).unwrap_or(0)
}
