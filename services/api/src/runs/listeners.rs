//! A start answers only once the flow's event listeners wait, so that an event sent next is not lost.

use crate::api::PlaneData;
use domain::{RunId, RunStatus};
use std::time::Duration;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Waits until each of these runs waits (or has ended), at most so long. An unready listener is not an error: the
/// start was accepted, and the listeners come.
pub async fn wait_until_listening(data: &PlaneData, listeners: &[RunId], patience: Duration) {
    let deadline = Instant::now() + patience;
    for listener in listeners {
        let mut pause = FIRST_PAUSE;
        while !listens(data, listener).await {
            if Instant::now() + pause >= deadline {
                tracing::warn!(%listener, "an event listener does not wait yet; an event sent now may miss it");
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn listens(data: &PlaneData, listener: &RunId) -> bool {
    match data.ledger.summary(listener).await {
        Ok(summary) => summary.is_some_and(|summary| summary.status != RunStatus::Running),
        Err(error) => {
            tracing::debug!(%error, %listener, "an event listener could not be read");
            false
        }
    }
}
