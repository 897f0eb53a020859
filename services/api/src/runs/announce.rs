//! Shows accepted runs in the list before their first step, without making a start wait for the database.

use domain::Plane;
use ledger::Summary;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::runs::Runs;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Accepted runs that may wait to be listed. Beyond that a run is listed with its first step.
const QUEUE: usize = 4_096;

/// Where starts leave what lists are to show. Clones share the queue.
#[derive(Clone)]
pub struct Announcer {
    queue: mpsc::Sender<(Plane, Summary)>,
    sent: Arc<AtomicU64>,
    written: watch::Sender<u64>,
}

impl Announcer {
    /// The announcer, and the queue that [`Announcer::write`] reads.
    pub fn new() -> (Self, mpsc::Receiver<(Plane, Summary)>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { queue, sent: Arc::default(), written: watch::Sender::new(0) }, receiver)
    }

    /// Leaves a run to be listed.
    pub fn announce(&self, plane: &Plane, summary: Summary) {
        if self.queue.try_send((plane.clone(), summary)).is_ok() {
            self.sent.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Waits, at most so long, until what was left before now is listed.
    pub async fn settle(&self, within: Duration) {
        let wanted = self.sent.load(Ordering::Acquire);
        let mut written = self.written.subscribe();
        // A list that is a moment old is still a list.
        let _ = tokio::time::timeout(within, written.wait_for(|written| *written >= wanted)).await;
    }

    /// Writes rows until the service stops. A row that cannot be written comes with the run's first step.
    pub async fn write(&self, runs: &Runs, queue: &mut mpsc::Receiver<(Plane, Summary)>, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                next = queue.recv() => next,
                () = stop.cancelled() => None,
            };
            let Some((plane, summary)) = next else { return };
            if let Err(error) = runs.announce(&plane, summary).await {
                tracing::warn!(%error, "an accepted run is listed only with its first step");
            }
            self.written.send_modify(|written| *written += 1);
        }
    }
}
