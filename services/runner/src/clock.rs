//! The only clock of this service.

use domain::Time;

pub(crate) fn now() -> Time {
    jiff::Timestamp::now().into()
}
