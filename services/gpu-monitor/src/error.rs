//! What can go wrong between the agent and its container engine.

use bollard::errors::Error;
use domain::nodes::{Failure, FailureKind};

/// A failed exchange with the container engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It does not answer.
    #[error(
        "{what}: the container engine cannot be reached ({cause}); is it running, and may this process use its socket?"
    )]
    Unreachable {
        /// The operation.
        what: &'static str,
        /// The client's words.
        cause: String,
    },
    /// It took too long.
    #[error("{what} took too long")]
    TimedOut {
        /// The operation.
        what: &'static str,
    },
    /// There is no such thing.
    #[error("{what}: {cause}")]
    NotFound {
        /// The operation.
        what: &'static str,
        /// The engine's words.
        cause: String,
    },
    /// It said no.
    #[error("{what}: the container engine refuses: {cause}")]
    Refused {
        /// The operation.
        what: &'static str,
        /// The engine's words.
        cause: String,
    },
}

impl EngineError {
    pub(crate) fn of(what: &'static str, error: Error) -> Self {
        if matches!(error, Error::RequestTimeoutError) {
            return Self::TimedOut { what };
        }
        if is_transport(&error) {
            return Self::Unreachable { what, cause: chain(&error) };
        }
        let Error::DockerResponseServerError { status_code, message } = error else {
            return Self::Refused { what, cause: error.to_string() };
        };
        if status_code == 404 {
            Self::NotFound { what, cause: message }
        } else {
            Self::Refused { what, cause: message }
        }
    }

    /// As the reason why an order failed.
    pub(crate) fn failure(&self) -> Failure {
        let kind = match self {
            Self::Unreachable { .. } => FailureKind::EngineUnreachable,
            Self::TimedOut { .. } => FailureKind::TimedOut,
            Self::NotFound { .. } => FailureKind::ContainerNotFound,
            Self::Refused { .. } => FailureKind::EngineRefused,
        };
        Failure { kind, text: self.to_string() }
    }
}

fn is_transport(error: &Error) -> bool {
    matches!(
        error,
        Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::SocketNotFoundError(_)
    )
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
