//! The clock of this service.

use domain::Time;

/// Now.
pub(crate) fn now() -> Time {
    jiff::Timestamp::now().into()
}
