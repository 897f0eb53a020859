//! Following one ledger from a cursor. The order of steps is the argument that nothing is lost or doubled.

use super::event;
use crate::api::PlaneData;
use bytes::Bytes;
use domain::RunId;
use ledger::{Feed, FeedMessage, Item, LedgerError, Subscription};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Records read from the ledger at once.
const PAGE: usize = 256;
/// How often a broker that does not answer is asked again before the stream ends; the client then reconnects.
const READS: u32 = 8;
/// How often the ledger is read while live steps do not come without delay yet.
const LOOK: Duration = Duration::from_millis(250);
/// On a cluster a replica that lags may have answered a read, and the live step that it lacked may have passed before this
/// stream subscribed. So the ledger is read again this long after the stream was opened.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// One client's stream.
pub struct Stream {
    data: PlaneData,
    run: RunId,
    cursor: u64,
    heartbeat: Duration,
    live: Subscription,
    ready: VecDeque<Item>,
    behind: bool,
    ended: bool,
    closed: bool,
    caught_up: watch::Receiver<bool>,
    opened: Instant,
    looks: usize,
    stop: CancellationToken,
    _open: OpenStream,
}

/// What a client gets next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes of an event or a comment.
    Bytes(Bytes),
    /// Nothing any more.
    Closed,
}

impl Stream {
    /// Follows a run after the first `cursor` records. Subscribes at once, before anything is read.
    pub fn new(
        data: &PlaneData,
        feed: &Feed,
        run: RunId,
        cursor: u64,
        heartbeat: Duration,
        live_steps: watch::Receiver<bool>,
        stop: CancellationToken,
    ) -> Self {
        let live = feed.subscribe(&data.plane, &run);
        Self {
            data: data.clone(),
            run,
            cursor,
            heartbeat,
            live,
            ready: VecDeque::new(),
            behind: true,
            ended: false,
            closed: false,
            caught_up: live_steps,
            opened: Instant::now(),
            looks: if data.ledger.may_lag() { 0 } else { LOOKS.len() },
            stop,
            _open: OpenStream::new(),
        }
    }

    /// Reads what there is already. Answers whether the run has taken a step.
    pub async fn begin(&mut self) -> Result<bool, LedgerError> {
        self.read().await
    }

    /// The next piece. Waits for the run, but never longer than the heartbeat.
    pub async fn next(&mut self) -> Next {
        let silence = Instant::now() + self.heartbeat;
        loop {
            if self.closed || self.stop.is_cancelled() {
                return Next::Closed;
            }
            if let Some(item) = self.ready.pop_front() {
                self.cursor = item.cursor;
                return Next::Bytes(event::step(item.cursor, &item.record));
            }
            if self.ended && !self.behind {
                self.closed = true;
                return Next::Bytes(event::done(self.run.as_str(), self.cursor));
            }
            if self.behind {
                // In a box while it lasts, so that a stream that only waits, as most do, stays small.
                if !Box::pin(self.catch_up()).await {
                    return Next::Closed;
                }
                continue;
            }
            let delayed = !*self.caught_up.borrow();
            let look = LOOKS.get(self.looks).map(|after| self.opened + *after);
            tokio::select! {
                () = self.stop.cancelled() => return Next::Closed,
                () = tokio::time::sleep(LOOK), if delayed => self.behind = true,
                () = sleep_until(look.unwrap_or(silence)), if look.is_some() => {
                    self.looks += 1;
                    self.behind = true;
                }
                () = sleep_until(silence) => return Next::Bytes(event::keep_alive()),
                step = self.live.next() => match step {
                    Ok(step) => self.take(&step),
                    Err(ledger::Missed) => self.behind = true,
                },
            }
        }
    }

    /// A live step. One that begins behind the cursor shows that something was missed.
    fn take(&mut self, step: &Arc<FeedMessage>) {
        if step.before > self.cursor {
            self.behind = true;
            return;
        }
        for (place, record) in step.records.iter().enumerate() {
            let cursor = step.before + place as u64 + 1;
            if cursor > self.cursor {
                self.ready.push_back(Item { cursor, record: record.clone() });
            }
        }
        self.ended |= step.terminal;
    }

    /// Reads the ledger from the cursor. Answers whether the stream can go on.
    async fn catch_up(&mut self) -> bool {
        let mut pause = Duration::from_millis(50);
        for _ in 0..READS {
            match self.read().await {
                Ok(_) => return true,
                Err(error) if error.is_transient() => tracing::debug!(%error, run = %self.run, "a stream reads again"),
                Err(error) => {
                    tracing::error!(%error, run = %self.run, "a stream ends early");
                    return false;
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
            }
        }
        false
    }

    async fn read(&mut self) -> Result<bool, LedgerError> {
        let Some(page) = self.data.ledger.records(&self.run, self.cursor, PAGE).await? else {
            self.behind = false;
            return Ok(false);
        };
        let reached = page.items.last().map_or(self.cursor, |item| item.cursor);
        self.behind = reached < page.total;
        self.ended |= page.status.is_terminal();
        self.ready.extend(page.items);
        Ok(true)
    }
}

/// Counts itself while it is open.
struct OpenStream;

impl OpenStream {
    fn new() -> Self {
        metrics::gauge!(crate::metrics::STREAMS).increment(1.0);
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!(crate::metrics::STREAMS).decrement(1.0);
    }
}
