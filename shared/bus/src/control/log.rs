//! The event log of the control plane: one message per step, appended by the one who has read all of it.

use super::{read, write};
use crate::batch::Query;
use crate::journal::CommitOutcome;
use crate::message::WRITER;
use crate::publish::{EXPECTED_LAST, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use domain::limits;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Messages kept behind the last snapshot, for followers that are late.
const KEPT_BEHIND_SNAPSHOT: u64 = 200_000;
const READ_AT_ONCE: usize = 256;

/// Reads and writes the log.
#[derive(Clone)]
pub struct ControlLog {
    inner: Arc<Inner>,
}

/// One step of the log.
#[derive(Clone, Debug)]
pub struct LogMessage {
    /// Its position.
    pub sequence: u64,
    /// What the scheduler wrote.
    pub body: Bytes,
}

/// Where the last snapshot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMark {
    /// The last step that it contains.
    pub sequence: u64,
    /// The blob that holds it.
    pub blob: String,
}

impl Bus {
    /// The log of the control plane.
    pub fn control_log(&self) -> ControlLog {
        ControlLog { inner: self.inner.clone() }
    }
}

impl ControlLog {
    /// Appends a step if nobody else did since `expected`. `writer` is unique to this attempt to write; an unknown outcome
    /// is resolved by it before this returns.
    pub async fn append(&self, expected: u64, writer: &str, body: &Bytes) -> Result<CommitOutcome, BusError> {
        let what = "an append to the control log";
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, expected.to_string());
        headers.insert(WRITER, writer);
        let mut pause = Duration::from_millis(2);
        let mut asked_before = false;
        for _ in 0..10 {
            match self.inner.publish(what, subjects::CONTROL_LOG.to_owned(), headers.clone(), body.clone()).await {
                Ok(Published::Stored { sequence, .. }) => return Ok(CommitOutcome::Stored(sequence)),
                Ok(Published::Fenced { .. }) if asked_before => return self.resolve(expected, writer).await,
                Ok(Published::Fenced { .. }) => return Ok(CommitOutcome::Fenced),
                Ok(Published::Busy) => {}
                Err(error) if error.is_transient() => asked_before = true,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        self.resolve(expected, writer).await
    }

    async fn resolve(&self, expected: u64, writer: &str) -> Result<CommitOutcome, BusError> {
        let last = self.inner.last_at_leader(streams::CONTROL, subjects::CONTROL_LOG).await?;
        let wrote = |headers: &HeaderMap| headers.get(WRITER).is_some_and(|value| value.as_str() == writer);
        match last {
            Some(last) if last.headers.as_ref().is_some_and(wrote) => Ok(CommitOutcome::Stored(last.sequence)),
            Some(last) if last.sequence != expected => Ok(CommitOutcome::Fenced),
            Some(_) | None => Err(BusError::Unknown { what: "an append to the control log".to_owned() }),
        }
    }

    /// Steps behind a position, oldest first, and whether there are more.
    pub async fn read(&self, after: u64) -> Result<(Vec<LogMessage>, bool), BusError> {
        let query = Query {
            seq: after + 1,
            next_by_subj: subjects::CONTROL_LOG,
            batch: READ_AT_ONCE,
            max_bytes: 2 * limits::MESSAGE_BYTES,
        };
        let (found, more) = self.inner.read(streams::CONTROL, &query).await?;
        let steps = found.into_iter().map(|stored| LogMessage { sequence: stored.sequence, body: stored.payload });
        Ok((steps.collect(), more))
    }

    /// Where the last snapshot is.
    pub async fn snapshot_mark(&self) -> Result<Option<SnapshotMark>, BusError> {
        let found = self.inner.last_at_leader(streams::CONTROL, subjects::CONTROL_SNAPSHOT).await?;
        found.map(|stored| read("the mark of a snapshot", &stored.payload)).transpose()
    }

    /// Says where a snapshot is and drops the steps that nobody needs any more.
    pub async fn mark_snapshot(&self, mark: &SnapshotMark) -> Result<(), BusError> {
        let what = "the mark of a snapshot";
        let body = write(what, mark)?;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        self.inner.publish_surely(what, subjects::CONTROL_SNAPSHOT, headers, &body).await?;
        match mark.sequence.checked_sub(KEPT_BEHIND_SNAPSHOT) {
            Some(before) if before > 1 => self.inner.purge(streams::CONTROL, subjects::CONTROL_LOG, Some(before)).await,
            Some(_) | None => Ok(()),
        }
    }
}
