//! What can go wrong between this process and the broker.

/// A failed exchange with the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// No server answered at the given addresses.
    #[error("cannot reach the broker at {url}: {cause}; start it with `gantry up` or check GANTRY_NATS_URL")]
    Unreachable {
        /// Addresses tried, without credentials.
        url: String,
        /// The client's words.
        cause: String,
    },
    /// The server is too old: it would silently ignore what we rely on.
    #[error(
        "the broker runs nats-server {version} (API level {level}); 2.14 or newer (API level 4) is needed, run `make nats-server` or upgrade it"
    )]
    TooOld {
        /// Its version.
        version: String,
        /// Its JetStream API level.
        level: u64,
    },
    /// The server has no JetStream.
    #[error(
        "the broker at {url} has JetStream switched off: {cause}; enable it in its configuration (`jetstream {{ store_dir: … }}`)"
    )]
    NoJetStream {
        /// The address.
        url: String,
        /// The server's words.
        cause: String,
    },
    /// A stream exists with a configuration that does not keep our promises.
    #[error("stream {stream} has {field} = {actual}, but {wanted} is needed; {hint}")]
    Misconfigured {
        /// The stream.
        stream: String,
        /// The setting.
        field: &'static str,
        /// What the server echoed.
        actual: String,
        /// What we asked for.
        wanted: String,
        /// What to do.
        hint: &'static str,
    },
    /// The server answered with a refusal.
    #[error("the broker refused {what}: {description} (code {code})")]
    Refused {
        /// The operation.
        what: String,
        /// JetStream's error code.
        code: u64,
        /// Its words.
        description: String,
    },
    /// No answer in time: it may or may not have happened.
    #[error("the broker did not answer {what} in time; its outcome is unknown")]
    Unknown {
        /// The operation.
        what: String,
    },
    /// The connection is down or no stream leader is elected; trying again soon is right.
    #[error("the broker is not available for {what}: {cause}")]
    Unavailable {
        /// The operation.
        what: String,
        /// The client's words.
        cause: String,
    },
    /// A stored message is not what we wrote.
    #[error("{what} holds a message that cannot be read: {cause}")]
    Corrupt {
        /// Where.
        what: String,
        /// Why.
        cause: String,
    },
    /// The message is larger than the broker takes.
    #[error("{what} is {bytes} bytes, more than the broker takes ({limit} bytes)")]
    TooLarge {
        /// The operation.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl BusError {
    /// Whether trying the same again in a moment can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Unavailable { .. } => true,
            Self::TooOld { .. }
            | Self::NoJetStream { .. }
            | Self::Misconfigured { .. }
            | Self::Refused { .. }
            | Self::Corrupt { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    pub(crate) fn unavailable(what: &str, cause: impl ToString) -> Self {
        Self::Unavailable { what: what.to_owned(), cause: cause.to_string() }
    }

    pub(crate) fn corrupt(what: &str, cause: impl ToString) -> Self {
        Self::Corrupt { what: what.to_owned(), cause: cause.to_string() }
    }
}
