//! The one place where this service reads the time of day.

use domain::Time;

/// Now.
pub(crate) fn now() -> Time {
    jiff::Timestamp::now().into()
}
