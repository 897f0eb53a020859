//! Starting a supervised task again: soon at first, then ever later, and soon again once it has run well.

use super::{BoxError, outcome};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// A task that ran this long is taken to be well, and its next failure for a new one.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// Runs what `make` makes until it ends without an error or the service stops.
pub(super) async fn keep_alive<M, F, E>(name: String, stop: CancellationToken, mut make: M)
where
    M: FnMut() -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    let mut delay = FIRST_DELAY;
    let mut restarts = 0_u64;
    loop {
        let started = Instant::now();
        // Making the future is part of the attempt: a panic in there is a failure like any other.
        let Err(reason) = outcome(async { make().await }).await else {
            return;
        };
        if stop.is_cancelled() {
            return;
        }
        if started.elapsed() >= WELL_AFTER {
            delay = FIRST_DELAY;
        }
        restarts += 1;
        warn!(task = name, restarts, delay_ms = delay.as_millis(), "the task {reason}; starting it again");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return,
        }
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}
