//! Inboxes: every change of a run begins with a message here. A doorbell only says that something lies there.

use crate::batch::Query;
use crate::message::TraceContext;
use crate::publish::{MESSAGE_ID, Sent};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use domain::{Plane, RunId, limits};
use std::sync::Arc;

/// Sends to and reads the inboxes of one plane.
#[derive(Clone)]
pub struct Inbox {
    inner: Arc<Inner>,
    plane: Plane,
}

/// A message that a run has not taken in yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Position in the shard's stream.
    pub sequence: u64,
    /// The body.
    pub body: Bytes,
    /// What caused it.
    pub trace: TraceContext,
}

impl Bus {
    /// Drops what all runners together have acknowledged of a shard's inboxes, up to the first message that they have not.
    /// Answers with the sequence of the last one that may go.
    pub async fn sweep(&self, shard: u16, swept: u64) -> Result<u64, BusError> {
        let name = streams::inbox_name(shard);
        let unavailable = |error: &dyn ToString| BusError::unavailable("sweeping inboxes", error.to_string());
        let stream = self.inner.js.get_stream_no_info(&name).await.map_err(|error| unavailable(&error))?;
        let info = stream.consumer_info(streams::RUNNERS).await.map_err(|error| unavailable(&error))?;
        let floor = info.ack_floor.stream_sequence;
        if floor > swept {
            self.inner.purge(&name, &format!("gantry.inbox.{shard}.>"), Some(floor + 1)).await?;
        }
        Ok(floor.max(swept))
    }

    /// The inboxes of a plane.
    pub fn inbox(&self, plane: &Plane) -> Inbox {
        Inbox { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl Inbox {
    fn place(&self, run: &RunId) -> (String, String) {
        let shards = self.inner.layout.shards;
        let shard = subjects::shard(&subjects::run_token(run), shards);
        (streams::inbox_name(shard), subjects::inbox(shards, &self.plane, run))
    }

    /// Puts a message into a run's inbox. The id makes a second send within two minutes harmless; receivers also keep
    /// what they have seen. Tries again while the broker is away, for some seconds.
    pub async fn send(&self, run: &RunId, id: &str, body: &Bytes, trace: &TraceContext) -> Result<Sent, BusError> {
        let (_, subject) = self.place(run);
        let mut headers = HeaderMap::new();
        // The server knows ids by stream, and many runs of all planes share one.
        headers.insert(MESSAGE_ID, format!("{}/{}/{id}", self.plane, subjects::run_token(run)));
        trace.write(&mut headers);
        self.inner.publish_surely("an inbox message", &subject, headers, body).await
    }

    /// What lies in the inbox behind a sequence, oldest first, and whether there is more.
    pub async fn pending(&self, run: &RunId, after: u64) -> Result<(Vec<Pending>, bool), BusError> {
        let (stream, subject) = self.place(run);
        let query = Query {
            seq: after + 1,
            next_by_subj: &subject,
            batch: limits::MESSAGES_PER_STEP,
            max_bytes: 2 * limits::MESSAGE_BYTES,
        };
        let (found, more) = self.inner.read(&stream, &query).await?;
        let pending = found
            .into_iter()
            .map(|stored| Pending {
                sequence: stored.sequence,
                trace: TraceContext::read(stored.headers.as_ref()),
                body: stored.payload,
            })
            .collect();
        Ok((pending, more))
    }

    /// Whether a message still lies in the inbox, as the leader knows it: one that does not was acknowledged. One that does
    /// may have been, for what is acknowledged is dropped only now and then.
    pub async fn holds(&self, run: &RunId, sequence: u64) -> Result<bool, BusError> {
        Ok(self.stored(run, sequence).await?.is_some())
    }

    /// The body of a message that still lies in the inbox, as the leader knows it.
    pub async fn stored(&self, run: &RunId, sequence: u64) -> Result<Option<Bytes>, BusError> {
        let (stream, subject) = self.place(run);
        let found = self.inner.at(&stream, sequence).await?;
        Ok(found.filter(|stored| stored.subject == subject).map(|stored| stored.payload))
    }

    /// Deletes what lies in the inbox of a run that is removed.
    pub async fn purge(&self, run: &RunId) -> Result<(), BusError> {
        let (stream, subject) = self.place(run);
        self.inner.purge(&stream, &subject, None).await
    }

    /// The newest message of the inbox, if any is left.
    pub async fn newest(&self, run: &RunId) -> Result<Option<Pending>, BusError> {
        let (stream, subject) = self.place(run);
        Ok(self.inner.last(&stream, &subject).await?.map(|stored| Pending {
            sequence: stored.sequence,
            trace: TraceContext::read(stored.headers.as_ref()),
            body: stored.payload,
        }))
    }
}
