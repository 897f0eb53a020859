//! What can stop the notifier.

use crate::channels::signature::SecretError;
use bus::BusError;
use ledger::LedgerError;

/// A notifier that cannot be made, or work that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A secret that cannot sign.
    #[error("{0}; see GANTRY_NOTIFY_WEBHOOK_SECRETS and GANTRY_NOTIFY_CALLBACK_SECRETS")]
    Secret(#[from] SecretError),
    /// An HTTP client could not be made.
    #[error("the HTTP client of {channel} cannot be made: {cause}")]
    Client {
        /// Whose.
        channel: String,
        /// Why not.
        cause: String,
    },
}
