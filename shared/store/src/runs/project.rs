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

/// News that wait for the database before the reader of the ledger has to.
const QUEUE: usize = 2_048;
/// Refusals of a batch before its rows are written one by one.
const REFUSALS: u32 = 4;
/// News written in one transaction.
const BATCH: usize = 1_000;
/// How long news are gathered while nobody waits for them: a run's start and its first steps then make one row.
const GATHER: Duration = Duration::from_millis(100);

/// What changes the list.
enum News {
    /// A step that was read from a shard: where it lies there, and what it says; nothing when that cannot be read.
    Step { shard: u16, sequence: u64, of: Option<Box<(Plane, Summary)>> },
    /// A run that was accepted and has no ledger yet.
    Accepted(Box<(Plane, Summary)>),
}

/// Reads every shard once per process: live followers hear each step at once, the read model soon after.
#[derive(Clone)]
pub struct Projector {
    bus: Bus,
    runs: Runs,
    feed: Feed,
    shared: Arc<Shared>,
}

struct Shared {
    /// By shard, how far it was read.
    seen: Vec<AtomicU64>,
    /// Accepted runs that were left to be listed.
    accepted: AtomicU64,
    /// How much of both is written.
    written: watch::Sender<Written>,
    /// How many wait for more to be written.
    waiting: watch::Sender<usize>,
    news: mpsc::Sender<News>,
    queue: tokio::sync::Mutex<mpsc::Receiver<News>>,
}

#[derive(Default)]
struct Written {
    shards: Vec<u64>,
    accepted: u64,
}

impl Projector {
    /// Reads the ledgers of all planes.
    pub fn new(bus: &Bus, runs: &Runs, feed: &Feed) -> Self {
        let shards = usize::from(bus.layout().shards);
        let (news, queue) = mpsc::channel(QUEUE);
        let shared = Shared {
            seen: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            accepted: AtomicU64::new(0),
            written: watch::Sender::new(Written { shards: vec![0; shards], accepted: 0 }),
            waiting: watch::Sender::new(0),
            news,
            queue: tokio::sync::Mutex::new(queue),
        };
        Self { bus: bus.clone(), runs: runs.clone(), feed: feed.clone(), shared: Arc::new(shared) }
    }

    /// Leaves an accepted run to be listed; while the database is far behind, it is listed with its first step.
    pub fn accept(&self, plane: &Plane, summary: Summary) {
        if self.shared.news.try_send(News::Accepted(Box::new((plane.clone(), summary)))).is_ok() {
            self.shared.accepted.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Follows one shard, for ever. Run one task per shard.
    pub async fn follow(&self, shard: u16) -> Result<(), RunsError> {
        let from = self.runs.position(shard).await?;
        self.shared.written.send_modify(|written| written.reach(shard, from));
        let mut tail = self.bus.follow(shard, from + 1);
        loop {
            let message = tail.next().await;
            self.feed.publish(&message);
            if let Some(place) = self.shared.seen.get(usize::from(shard)) {
                place.store(message.sequence, Ordering::Release);
            }
            if self.shared.news.send(news(shard, message)).await.is_err() {
                // The writer ends only with the process.
                return Ok(());
            }
        }
    }

    /// Writes what the followers read, for ever, many steps to a transaction. Run one task.
    pub async fn write(&self) -> Result<(), RunsError> {
        let mut queue = self.shared.queue.lock().await;
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            self.gather(&mut queue, &mut batch).await;
            let (rows, positions) = condense(&batch);
            self.store(&rows, &positions).await;
            let accepted = batch.iter().filter(|news| matches!(news, News::Accepted(..))).count();
            batch.clear();
            self.shared.written.send_modify(|written| {
                written.accepted += accepted as u64;
                positions.iter().for_each(|(shard, sequence)| written.reach(*shard, *sequence));
            });
        }
        Ok(())
    }

    /// Takes more news into a batch for a while, or until somebody waits for what is in it.
    async fn gather(&self, queue: &mut mpsc::Receiver<News>, batch: &mut Vec<News>) {
        let mut waiting = self.shared.waiting.subscribe();
        let over = tokio::time::sleep(GATHER);
        tokio::pin!(over);
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                _ = waiting.wait_for(|waiting| *waiting > 0) => {
                    while batch.len() < BATCH && let Ok(news) = queue.try_recv() {
                        batch.push(news);
                    }
                    return;
                }
                () = &mut over => return,
                taken = queue.recv_many(batch, room) => if taken == 0 { return },
            }
        }
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

    /// Waits, at most so long, until the read model holds every step that this process has shown to anybody, and every
    /// run that it has accepted.
    pub async fn settle(&self, within: Duration) -> bool {
        let wanted = self.shared.seen.iter().map(|place| place.load(Ordering::Acquire)).collect();
        let accepted = self.shared.accepted.load(Ordering::Acquire);
        self.reach(Written { shards: wanted, accepted }, within).await
    }

    /// Waits until the read model holds every step that the broker holds now.
    pub async fn reach_end(&self, within: Duration) -> Result<bool, bus::BusError> {
        let mut wanted = Written::default();
        for shard in 0..self.bus.layout().shards {
            wanted.shards.push(self.bus.shard_end(shard).await?);
        }
        Ok(self.reach(wanted, within).await)
    }

    async fn reach(&self, wanted: Written, within: Duration) -> bool {
        let mut written = self.shared.written.subscribe();
        if written.borrow().holds(&wanted) {
            return true;
        }
        let _waiting = Waiting::new(&self.shared.waiting);
        let there = written.wait_for(|written| written.holds(&wanted));
        matches!(tokio::time::timeout(within, there).await, Ok(Ok(_)))
    }
}

impl Written {
    fn reach(&mut self, shard: u16, sequence: u64) {
        if let Some(place) = self.shards.get_mut(usize::from(shard)) {
            *place = (*place).max(sequence);
        }
    }

    fn holds(&self, wanted: &Self) -> bool {
        self.accepted >= wanted.accepted && self.shards.iter().zip(&wanted.shards).all(|(now, wanted)| now >= wanted)
    }
}

/// Somebody waits for the list while this lives, so news are not gathered.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What the list takes of a step. Its body, which may be large, is let go at once.
fn news(shard: u16, message: JournalMessage) -> News {
    let of = match Summary::read(&message.run, &message.body) {
        Ok(summary) => Some(Box::new((message.plane, summary))),
        Err(error) => {
            tracing::error!(%error, run = %message.run, "a stored step cannot be listed");
            None
        }
    };
    News::Step { shard, sequence: message.sequence, of }
}

/// The last step of each run, or its start when it has none, and how far each shard was read.
fn condense(batch: &[News]) -> (Vec<Change>, Vec<(u16, u64)>) {
    let mut positions: HashMap<u16, u64> = HashMap::new();
    let mut latest: HashMap<(&Plane, &RunId), (u16, u64, &Summary)> = HashMap::new();
    for news in batch {
        match news {
            News::Step { shard, sequence, of } => {
                let position = positions.entry(*shard).or_default();
                *position = (*position).max(*sequence);
                if let Some((plane, summary)) = of.as_deref() {
                    latest.insert((plane, &summary.run_id), (*shard, *sequence, summary));
                }
            }
            News::Accepted(of) => {
                let (plane, summary) = &**of;
                // Its first step, which replaces the row, has a sequence above this one.
                latest.entry((plane, &summary.run_id)).or_insert((0, 0, summary));
            }
        }
    }
    let mut latest: Vec<_> = latest.into_iter().collect();
    // All processes write in one order, so that they cannot lock each other out.
    latest.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    let row = |((plane, _), (shard, sequence, summary)): ((&Plane, &RunId), (u16, u64, &Summary))| Change {
        plane: plane.clone(),
        shard,
        sequence,
        summary: summary.clone(),
    };
    (latest.into_iter().map(row).collect(), positions.into_iter().collect())
}
