//! The one place of this service that reads the clock.

use domain::Time;

/// Now.
pub(crate) fn now() -> Time {
    Time::from(jiff::Timestamp::now())
}

/// How long from now until then; zero if it has passed.
pub(crate) fn until(then: Time) -> std::time::Duration {
    let micros = then.as_micros().saturating_sub(now().as_micros());
    std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
