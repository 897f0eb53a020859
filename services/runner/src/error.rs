//! What can stop a step.

use bus::BusError;
use ledger::LedgerError;
use store::bundles::InstallError;

/// A step that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The run's flow.
    #[error(transparent)]
    Flow(#[from] InstallError),
    /// The client for model calls could not be made.
    #[error("the HTTP client for model calls cannot be made: {0}")]
    Client(String),
}

impl RunnerError {
    /// Whether trying again in a moment can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Bus(error) => error.is_transient(),
            Self::Ledger(error) => error.is_transient(),
            Self::Flow(InstallError::Bus(error)) => error.is_transient(),
            Self::Flow(_) | Self::Client(_) => false,
        }
    }
}
