//! The two signals that end a process, and what a second one means.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The process cannot listen for signals.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for SIGINT and SIGTERM: {0}")]
pub struct SignalError(#[from] std::io::Error);

/// SIGINT and SIGTERM, from the moment this is made. Neither ends the process by itself any more.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to listen. Needs a running runtime.
    pub fn listen() -> Result<Self, SignalError> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
