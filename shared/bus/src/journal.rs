//! The ledger as the broker stores it: one message per step, appended under a fence.

use crate::batch::{Query, Stored};
use crate::message::{CURSOR, EFFECTS, TraceContext, WRITER, number};
use crate::publish::{EXPECTED_LAST, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use bytes::Bytes;
use domain::{Plane, RunId, limits};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Reads and writes the ledgers of one plane.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
    plane: Plane,
}

/// One step's message, before it is stored.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The run.
    pub run: &'a RunId,
    /// Sequence of the run's last message; 0 when this is its first. The fence.
    pub expected: u64,
    /// Last inbox sequence that the step took in.
    pub inbox_cursor: u64,
    /// Effects that the message owes.
    pub effects: usize,
    /// Unique to this attempt to write.
    pub writer: &'a str,
    /// The body.
    pub body: Bytes,
    /// What caused it.
    pub trace: &'a TraceContext,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Stored at this sequence.
    Stored(u64),
    /// Somebody else committed first.
    Fenced,
}

/// A stored step.
#[derive(Clone, Debug)]
pub struct JournalMessage {
    /// Whose data.
    pub plane: Plane,
    /// The run.
    pub run: RunId,
    /// Position in the shard's stream.
    pub sequence: u64,
    /// Last inbox sequence that the step took in.
    pub inbox_cursor: u64,
    /// Who wrote it.
    pub writer: String,
    /// The body.
    pub body: Bytes,
}

impl Bus {
    /// The ledgers of a plane.
    pub fn journal(&self, plane: &Plane) -> Journal {
        Journal { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl Journal {
    fn place(&self, run: &RunId) -> (String, String) {
        let shards = self.inner.layout.shards;
        let shard = subjects::shard(&subjects::run_token(run), shards);
        (streams::ledger_name(shard), subjects::journal(shards, &self.plane, run))
    }

    /// The shard of a run.
    pub fn shard(&self, run: &RunId) -> u16 {
        subjects::shard(&subjects::run_token(run), self.inner.layout.shards)
    }

    /// Whether what is read may be older than what was stored: there are replicas, and any of them may answer.
    pub fn may_lag(&self) -> bool {
        self.inner.layout.replicas > 1
    }

    /// The run's last step. May lag behind on a cluster; the fence makes that safe.
    pub async fn last(&self, run: &RunId) -> Result<Option<JournalMessage>, BusError> {
        let (stream, subject) = self.place(run);
        self.inner.last(&stream, &subject).await?.map(parse).transpose()
    }

    /// The run's last step as the leader knows it.
    pub async fn last_at_leader(&self, run: &RunId) -> Result<Option<JournalMessage>, BusError> {
        let (stream, subject) = self.place(run);
        self.inner.last_at_leader(&stream, &subject).await?.map(parse).transpose()
    }

    /// Appends a step if nobody else did since `expected`. An unknown outcome is resolved before this returns, by
    /// looking whether the stored message is ours.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<CommitOutcome, BusError> {
        let (_, subject) = self.place(commit.run);
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, commit.expected.to_string());
        headers.insert(CURSOR, commit.inbox_cursor.to_string());
        headers.insert(EFFECTS, commit.effects.to_string());
        headers.insert(WRITER, commit.writer);
        commit.trace.write(&mut headers);
        let mut pause = Duration::from_millis(2);
        let mut asked_before = false;
        for _ in 0..10 {
            let answer =
                self.inner.publish("a ledger append", subject.clone(), headers.clone(), commit.body.clone()).await;
            match answer {
                Ok(Published::Stored { sequence, .. }) => return Ok(CommitOutcome::Stored(sequence)),
                // An earlier try of ours whose answer was lost may be what the fence met.
                Ok(Published::Fenced { .. }) if asked_before => return Box::pin(self.resolve(commit)).await,
                Ok(Published::Fenced { .. }) => return Ok(CommitOutcome::Fenced),
                Ok(Published::Busy) => {}
                Err(error) if error.is_transient() => asked_before = true,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        Box::pin(self.resolve(commit)).await
    }

    async fn resolve(&self, commit: &Commit<'_>) -> Result<CommitOutcome, BusError> {
        match self.last_at_leader(commit.run).await? {
            Some(last) if last.writer == commit.writer => Ok(CommitOutcome::Stored(last.sequence)),
            Some(last) if last.sequence != commit.expected => Ok(CommitOutcome::Fenced),
            _ => Err(BusError::Unknown { what: "a ledger append".to_owned() }),
        }
    }

    /// Deletes every step of a run. Answers with the end of its shard: whatever was deleted lay before it.
    pub async fn purge(&self, run: &RunId) -> Result<u64, BusError> {
        let (name, subject) = self.place(run);
        self.inner.purge(&name, &subject, None).await?;
        self.inner.end(&name).await
    }

    /// Steps of a run from a stream sequence on, at most `limit`, and whether more are left.
    pub async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<(Vec<JournalMessage>, bool), BusError> {
        let (stream, subject) = self.place(run);
        let query = Query {
            seq: from.max(1),
            next_by_subj: &subject,
            batch: limit.clamp(1, 500),
            max_bytes: 2 * limits::MESSAGE_BYTES,
        };
        let (found, more) = self.inner.read(&stream, &query).await?;
        Ok((found.into_iter().map(parse).collect::<Result<_, _>>()?, more))
    }
}

fn parse(stored: Stored) -> Result<JournalMessage, BusError> {
    let headers = stored.headers.as_ref();
    let (plane, run) = subjects::parse_run(&stored.subject)
        .ok_or_else(|| BusError::corrupt("the ledger", format!("its subject is {}", stored.subject)))?;
    Ok(JournalMessage {
        plane,
        run,
        sequence: stored.sequence,
        inbox_cursor: number(headers, CURSOR).unwrap_or(0),
        writer: headers.and_then(|map| map.get(WRITER)).map(|value| value.as_str().to_owned()).unwrap_or_default(),
        body: stored.payload,
    })
}

/// Everything that is appended to one shard, all planes, in order and without a gap.
pub struct JournalTail {
    inner: Arc<Inner>,
    shard: u16,
    next: u64,
    messages: Option<pull::Ordered>,
    connects: tokio::sync::watch::Receiver<u64>,
}

impl Bus {
    /// Follows a shard from a stream sequence on (1 is its beginning). One per process and shard is enough.
    pub fn follow(&self, shard: u16, from: u64) -> JournalTail {
        JournalTail {
            inner: self.inner.clone(),
            shard,
            next: from.max(1),
            messages: None,
            connects: self.inner.connects.clone(),
        }
    }

    /// Sequence of the last message of a shard; 0 when it is empty.
    pub async fn shard_end(&self, shard: u16) -> Result<u64, BusError> {
        self.inner.end(&streams::ledger_name(shard)).await
    }
}

impl Inner {
    async fn end(&self, stream: &str) -> Result<u64, BusError> {
        let unavailable = |error: &dyn ToString| BusError::unavailable("reading the ledger's end", error.to_string());
        let stream = self.js.get_stream_no_info(stream).await.map_err(|error| unavailable(&error))?;
        let info = stream.get_info().await.map_err(|error| unavailable(&error))?;
        Ok(info.state.last_sequence)
    }
}

impl JournalTail {
    /// The next message. Waits for ever; a lost connection or a restarted broker only delays it, because the reader
    /// is made anew behind the last message seen.
    pub async fn next(&mut self) -> JournalMessage {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_next().await {
                Ok(Some(message)) => return message,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, shard = self.shard, "ledger reader is made anew");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
            self.messages = None;
        }
    }

    async fn try_next(&mut self) -> Result<Option<JournalMessage>, BusError> {
        if self.messages.is_none() {
            self.connects.mark_unchanged();
            self.messages = Some(open(&self.inner, self.shard, self.next).await?);
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        tokio::select! {
            // The server forgets such a reader when it restarts, and only missed heartbeats would tell.
            changed = self.connects.changed() => {
                changed.map_err(|error| BusError::unavailable("following the ledger", error))?;
                Ok(None)
            }
            next = messages.next() => {
                let Some(message) = next else { return Ok(None) };
                let message = message.map_err(|error| BusError::unavailable("following the ledger", error))?;
                let sequence = message
                    .info()
                    .map_err(|error| BusError::corrupt("the ledger", error))?
                    .stream_sequence;
                if sequence < self.next {
                    return Ok(None);
                }
                // Also of one that nobody can read: it must not come again for ever.
                self.next = sequence + 1;
                let (message, _) = message.split();
                parse(Stored {
                    subject: message.subject.to_string(),
                    sequence,
                    headers: message.headers,
                    payload: message.payload,
                })
                .map(Some)
            }
        }
    }
}

async fn open(inner: &Inner, shard: u16, next: u64) -> Result<pull::Ordered, BusError> {
    let what = "following the ledger";
    let stream = inner
        .js
        .get_stream_no_info(streams::ledger_name(shard))
        .await
        .map_err(|error| BusError::unavailable(what, error))?;
    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next },
        // Half of it is the heartbeat, whose absence tells that a cluster has lost the reader with one of its servers.
        max_expires: Duration::from_secs(4),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| BusError::unavailable(what, error))?;
    consumer.messages().await.map_err(|error| BusError::unavailable(what, error))
}
