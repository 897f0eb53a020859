//! The one table from failures of the parts below to HTTP.

use crate::ApiError;
use bus::BusError;
use http::StatusCode;
use ledger::LedgerError;
use store::bundles::InstallError;
use store::runs::RunsError;

impl From<BusError> for ApiError {
    fn from(error: BusError) -> Self {
        match &error {
            BusError::TooLarge { .. } => Self::too_large(error.to_string()),
            BusError::Unreachable { .. } | BusError::Unknown { .. } | BusError::Unavailable { .. } => {
                tracing::warn!(%error, "a request could not be served");
                Self::unavailable(error.to_string())
            }
            BusError::TooOld { .. }
            | BusError::NoJetStream { .. }
            | BusError::Misconfigured { .. }
            | BusError::Refused { .. }
            | BusError::Corrupt { .. } => broken(&error),
        }
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Bus(error) => error.into(),
            LedgerError::TooLarge { .. } => Self::too_large(error.to_string()),
            LedgerError::Unreadable { .. } => broken(&error),
        }
    }
}

impl From<RunsError> for ApiError {
    fn from(error: RunsError) -> Self {
        match error {
            RunsError::Ledger(error) => error.into(),
            RunsError::Database { .. } | RunsError::Open { .. } => {
                tracing::warn!(%error, "the list of runs could not be read");
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<InstallError> for ApiError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Bus(error) => error.into(),
            InstallError::Exists(_) => Self::bad_request(error.to_string()),
            InstallError::Unreadable(flow::BundleError::TooLarge { .. }) => {
                Self::too_large(format!("Bundle too large ({error})"))
            }
            InstallError::Unreadable(flow::BundleError::NotZip(_)) => {
                Self::bad_request("Failed installing bundle: File is not a zip file")
            }
            InstallError::Unreadable(_) | InstallError::DoesNotCompile(_) => {
                Self::bad_request(format!("Failed installing bundle: {error}"))
            }
            InstallError::Lost(_) => broken(&error),
        }
    }
}

/// Not the caller's doing, and trying again does not help: an operator has to look.
fn broken(error: &dyn std::error::Error) -> ApiError {
    tracing::error!(%error, "a request could not be served");
    ApiError::refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
