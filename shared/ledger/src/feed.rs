//! Live records: one reader per shard and process, fanned out to however many streams.

use crate::body::{self, Outcome, RawRecord, RecordsBody};
use bus::JournalMessage;
use domain::{Plane, RunId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Steps that a slow stream may lag behind before it has to read from the ledger again. Room for them is made for every
/// run that is followed, so it is small.
const BACKLOG: usize = 16;

/// Fans stored steps out by run.
#[derive(Clone, Default)]
pub struct Feed {
    runs: Arc<Mutex<Followed>>,
}

type Followed = HashMap<(Plane, RunId), broadcast::Sender<Arc<FeedMessage>>>;

/// A stored step, as followers see it.
#[derive(Debug)]
pub struct FeedMessage {
    /// Records before it.
    pub before: u64,
    /// Its records.
    pub records: Vec<RawRecord>,
    /// Commands it settled.
    pub outcomes: Vec<Outcome>,
    /// Whether the run has ended with it.
    pub terminal: bool,
}

/// The stream missed steps: read the ledger from the cursor and go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed;

/// One stream's view of one run.
pub struct Subscription {
    feed: Feed,
    key: (Plane, RunId),
    steps: broadcast::Receiver<Arc<FeedMessage>>,
}

impl Feed {
    /// Steps of a run from now on. Subscribe first, then read the ledger, then drop what both have shown.
    pub fn subscribe(&self, plane: &Plane, run: &RunId) -> Subscription {
        let key = (plane.clone(), run.clone());
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let steps = runs.entry(key.clone()).or_insert_with(|| broadcast::channel(BACKLOG).0).subscribe();
        Subscription { feed: self.clone(), key, steps }
    }

    /// Hands a stored step to those who follow its run.
    pub fn publish(&self, message: &JournalMessage) {
        let key = (message.plane.clone(), message.run.clone());
        let sender = self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let Some(sender) = sender else { return };
        match body::read::<RecordsBody>(&message.run, &message.body) {
            Ok(step) => {
                // A send fails only when the last follower has just left.
                let _ = sender.send(Arc::new(FeedMessage {
                    before: step.before,
                    terminal: step.state.status.is_terminal(),
                    records: step.records,
                    outcomes: step.outcomes,
                }));
            }
            Err(error) => tracing::error!(%error, run = %message.run, "a stored step cannot be streamed"),
        }
    }

    /// How many runs are being followed.
    pub fn followed(&self) -> usize {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Subscription {
    /// The next step, or [`Missed`] when this stream was too slow.
    pub async fn next(&mut self) -> Result<Arc<FeedMessage>, Missed> {
        self.steps.recv().await.map_err(|_| Missed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut runs = self.feed.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.get(&self.key).is_some_and(|sender| sender.receiver_count() <= 1) {
            runs.remove(&self.key);
        }
    }
}
