//! What can go wrong while finding or starting a server, in words that say what to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::binary::{OLDEST, Version};

/// Why no usable nats-server program was found.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// The program named by the caller is not there or does not run.
    #[error("{} does not run as a nats-server: {reason}; name another program, or run `make nats-server`", path.display())]
    Unusable {
        /// The program that was tried.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The program named by the caller is too old.
    #[error("{} is nats-server {found}, and {OLDEST} or newer is needed; run `make nats-server`", path.display())]
    TooOld {
        /// The program that was tried.
        path: PathBuf,
        /// Its version.
        found: Version,
    },
    /// Neither the PATH nor the cache has one.
    #[error(
        "no nats-server {OLDEST} or newer found ({looked}); run `make nats-server`, or set GANTRY_NATS_SERVER to its path"
    )]
    NotFound {
        /// Where was looked and what was there.
        looked: String,
    },
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No program to start.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// Another gateway uses the store directory.
    #[error("the broker's store {} is in use by process {holder}; stop that gateway or choose another data directory", dir.display())]
    Locked {
        /// The store directory.
        dir: PathBuf,
        /// The process that holds the lock, as it wrote itself down.
        holder: String,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A path that cannot stand in a server configuration.
    #[error("{} cannot be the broker's store: the path must be UTF-8 without quotes, backslashes and control characters", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// The program could not be started at all.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The server ended while starting.
    #[error("nats-server ended while starting; the end of {} says: {tail}", log.display())]
    Ended {
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server runs but did not become ready.
    #[error("nats-server was not ready after {waited:?}; see {}", log.display())]
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
    },
    /// A server left behind by a crash does not end.
    #[error("nats-server process {pid} was left behind in {} and does not end; end it by hand", dir.display())]
    Stuck {
        /// Its process id.
        pid: u32,
        /// The store directory.
        dir: PathBuf,
    },
}

impl StartError {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Whether another program took the port between choosing and binding it.
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, Self::Ended { tail, .. } if tail.contains("address already in use"))
    }
}
