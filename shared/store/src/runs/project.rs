//! Fills the read model from the ledgers and tells how far it has come.

use super::apply::Change;
use super::{Runs, RunsError};
use bus::{Bus, JournalMessage};
use domain::{Plane, RunId};
use ledger::{Feed, Summary};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Steps that wait for the database before the reader of the ledger has to.
const QUEUE: usize = 4_096;
/// Refusals of a batch before its rows are written one by one.
const REFUSALS: u32 = 4;
/// Steps written in one transaction.
const BATCH: usize = 1_000;

/// A stored step and the shard it was read from.
type Step = (u16, JournalMessage);

/// Reads every shard once per process: live followers hear each step at once, the read model soon after.
#[derive(Clone)]
pub struct Projector {
    bus: Bus,
    runs: Runs,
    feed: Feed,
    seen: Arc<Vec<AtomicU64>>,
    applied: watch::Sender<Vec<u64>>,
}

impl Projector {
    /// Reads the ledgers of all planes.
    pub fn new(bus: &Bus, runs: &Runs, feed: &Feed) -> Self {
        let shards = usize::from(bus.layout().shards);
        Self {
            bus: bus.clone(),
            runs: runs.clone(),
            feed: feed.clone(),
            seen: Arc::new((0..shards).map(|_| AtomicU64::new(0)).collect()),
            applied: watch::Sender::new(vec![0; shards]),
        }
    }

    /// Follows one shard, for ever. Run one task per shard.
    pub async fn follow(&self, shard: u16, changes: mpsc::Sender<Step>) -> Result<(), RunsError> {
        let from = self.runs.position(shard).await?;
        self.mark(shard, from);
        let mut tail = self.bus.follow(shard, from + 1);
        loop {
            let message = tail.next().await;
            self.feed.publish(&message);
            if let Some(place) = self.seen.get(usize::from(shard)) {
                place.store(message.sequence, Ordering::Release);
            }
            if changes.send((shard, message)).await.is_err() {
                // The writer ends only with the process.
                return Ok(());
            }
        }
    }

    /// The queue between [`Projector::follow`] and [`Projector::write`].
    pub fn queue() -> (mpsc::Sender<Step>, mpsc::Receiver<Step>) {
        mpsc::channel(QUEUE)
    }

    /// Writes what the followers read, for ever, many steps to a transaction.
    pub async fn write(&self, changes: &mut mpsc::Receiver<Step>) -> Result<(), RunsError> {
        let mut batch = Vec::with_capacity(BATCH);
        while changes.recv_many(&mut batch, BATCH).await > 0 {
            let (rows, positions) = condense(&batch);
            self.store(&rows, &positions).await;
            for (shard, sequence) in positions {
                self.mark(shard, sequence);
            }
            batch.clear();
        }
        Ok(())
    }

    /// Until it is written. Once the database has refused the whole several times, row by row, so that one that it
    /// never takes does not keep back all others.
    async fn store(&self, rows: &[Change], positions: &[(u16, u64)]) {
        let mut pause = Duration::from_millis(20);
        let mut refusals = 0;
        while let Err(error) = self.runs.apply(rows, positions).await {
            tracing::warn!(%error, "the read model is tried again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
            refusals += u32::from(error.is_refusal());
            if refusals >= REFUSALS && self.store_each(rows, positions).await {
                return;
            }
        }
    }

    /// Answers whether everything is settled: each row is written, or refused for itself.
    async fn store_each(&self, rows: &[Change], positions: &[(u16, u64)]) -> bool {
        for row in rows {
            match self.runs.apply(std::slice::from_ref(row), &[]).await {
                Ok(()) => {}
                Err(error) if error.is_refusal() => {
                    tracing::error!(%error, run = %row.summary.run_id, "a run cannot be listed");
                }
                Err(_) => return false,
            }
        }
        self.runs.apply(&[], positions).await.is_ok()
    }

    fn mark(&self, shard: u16, sequence: u64) {
        self.applied.send_modify(|applied| {
            if let Some(place) = applied.get_mut(usize::from(shard)) {
                *place = (*place).max(sequence);
            }
        });
    }

    /// Waits, at most so long, until the read model holds every step that this process has shown to anybody.
    pub async fn settle(&self, within: Duration) -> bool {
        let wanted: Vec<u64> = self.seen.iter().map(|place| place.load(Ordering::Acquire)).collect();
        self.reach(wanted, within).await
    }

    /// Waits until the read model holds every step that the broker holds now.
    pub async fn reach_end(&self, within: Duration) -> Result<bool, bus::BusError> {
        let mut wanted = Vec::new();
        for shard in 0..self.bus.layout().shards {
            wanted.push(self.bus.shard_end(shard).await?);
        }
        Ok(self.reach(wanted, within).await)
    }

    async fn reach(&self, wanted: Vec<u64>, within: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        let there = applied.wait_for(|now| now.iter().zip(&wanted).all(|(now, wanted)| now >= wanted));
        matches!(tokio::time::timeout(within, there).await, Ok(Ok(_)))
    }
}

/// The last step of each run, and how far each shard was read.
fn condense(batch: &[(u16, JournalMessage)]) -> (Vec<Change>, Vec<(u16, u64)>) {
    let mut positions: HashMap<u16, u64> = HashMap::new();
    let mut latest: HashMap<(&Plane, &RunId), (u16, &JournalMessage)> = HashMap::new();
    for (shard, message) in batch {
        let position = positions.entry(*shard).or_default();
        *position = (*position).max(message.sequence);
        latest.insert((&message.plane, &message.run), (*shard, message));
    }
    let mut latest: Vec<_> = latest.into_iter().collect();
    // All processes write in one order, so that they cannot lock each other out.
    latest.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    let rows = latest
        .into_iter()
        .map(|(_, step)| step)
        .filter_map(|(shard, message)| match Summary::read(&message.run, &message.body) {
            Ok(summary) => Some(Change { plane: message.plane.clone(), shard, sequence: message.sequence, summary }),
            Err(error) => {
                tracing::error!(%error, run = %message.run, "a stored step cannot be listed");
                None
            }
        })
        .collect();
    (rows, positions.into_iter().collect())
}
