//! Why a scheduler stops leading.

use bus::BusError;

/// Leading ended; whoever led stands by again.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Somebody else has appended to the log.
    #[error("another scheduler leads: it has appended to the control log since position {expected}")]
    Superseded {
        /// Where this one stood.
        expected: u64,
    },
    /// The lease could not be renewed in time.
    #[error("the lease was not renewed in time; another scheduler may lead by now")]
    LeaseLost,
    /// A stored step or snapshot cannot be read.
    #[error("{what} of the control log cannot be read: {cause}; it was written by a newer version")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        cause: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be made: {0}")]
    Http(#[from] reqwest::Error),
}
