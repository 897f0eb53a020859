//! Supervision: a server that dies is started again, with growing pauses and an end.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::server::Server;

/// How often and how fast a dead server is started again.
#[derive(Debug, Clone, Copy)]
pub struct Restarts {
    /// Starts in a row, without a settled run between them, before giving up.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles from there. The first has none.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A run this long counts as settled and clears the count.
    pub settled_after: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            attempts: 10,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            settled_after: Duration::from_secs(60),
        }
    }
}

impl Restarts {
    fn pause_before(&self, attempt: u32) -> Duration {
        match attempt.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => (self.first_pause * 2_u32.pow(doublings.min(16))).min(self.longest_pause),
        }
    }
}

/// What supervision saw and did.
#[derive(Debug, Clone)]
pub enum Event {
    /// The server ended without being asked to.
    Died {
        /// How, where the system could tell.
        status: Option<ExitStatus>,
    },
    /// It runs again, on the same port and store.
    Restarted {
        /// The new process.
        pid: u32,
        /// From its end until it was ready.
        down_for: Duration,
    },
    /// A start failed; another follows after a pause unless the attempts are used up.
    RestartFailed {
        /// Why.
        reason: String,
    },
}

/// The server keeps dying.
#[derive(Debug, thiserror::Error)]
#[error("nats-server was started {attempts} times in a row and does not stay up: {reason}; see {}", log.display())]
pub struct GaveUp {
    /// Starts tried.
    pub attempts: u32,
    /// What ended the last of them.
    pub reason: String,
    /// The server's log.
    pub log: std::path::PathBuf,
}

impl Server {
    /// Starts the server again whenever it dies, telling `report` what happened; returns only when it gives up.
    ///
    /// Dropping the future stops the watching and leaves the server as it is; [`Server::stop`] then ends it.
    pub async fn watch(&mut self, restarts: Restarts, mut report: impl FnMut(Event)) -> GaveUp {
        let mut attempt = 0;
        loop {
            let watched_from = Instant::now();
            let status = self.ended().await;
            if watched_from.elapsed() >= restarts.settled_after {
                attempt = 0;
            }
            let mut reason = status.map_or_else(|| "it was not running".to_owned(), |status| status.to_string());
            report(Event::Died { status });
            let down_from = Instant::now();
            loop {
                if attempt >= restarts.attempts {
                    return GaveUp { attempts: attempt, reason, log: self.log_file() };
                }
                tokio::time::sleep(restarts.pause_before(attempt)).await;
                attempt += 1;
                match self.restart().await {
                    Ok(()) => break,
                    Err(error) => reason = error.to_string(),
                }
                report(Event::RestartFailed { reason: reason.clone() });
            }
            report(Event::Restarted { pid: self.pid(), down_for: down_from.elapsed() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_none_up_to_the_longest() {
        let restarts = Restarts::default();
        let pauses: Vec<u128> = (0..9).map(|attempt| restarts.pause_before(attempt).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }
}
