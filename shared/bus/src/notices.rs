//! Notices, what of them leaves the gateway through which channel, and what could not be delivered.

mod queue;
mod state;

pub use queue::{Held, Queue};

use crate::batch::Query;
use crate::publish::{EXPECTED_LAST, MESSAGE_ID, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use domain::Time;
use domain::limits::MESSAGE_BYTES;
use domain::notices::{Callback, DeadLetter, Notice, Outgoing};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Publishes notices and callbacks, and works off what has to leave.
#[derive(Clone)]
pub struct Notices {
    inner: Arc<Inner>,
}

impl Bus {
    /// Notices and callbacks.
    pub fn notices(&self) -> Notices {
        Notices { inner: self.inner.clone() }
    }
}

impl Notices {
    /// Stores a notice; says whether it is new. The same id again, within the thirty days that notices are kept, is
    /// harmless.
    pub async fn publish(&self, notice: &Notice) -> Result<bool, BusError> {
        let what = "a notice";
        let subject = subjects::notice(notice);
        let body = write(what, notice)?;
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, "0");
        let mut pause = Duration::from_millis(10);
        let mut last = BusError::Unknown { what: what.to_owned() };
        for _ in 0..8 {
            match self.inner.publish(what, subject.clone(), headers.clone(), body.clone()).await {
                Ok(Published::Stored { .. }) => return Ok(true),
                Ok(Published::Fenced { .. }) => return Ok(false),
                Ok(Published::Busy) => {}
                Err(error) if error.is_transient() => last = error,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Err(last)
    }

    /// What was last told of a node: that it is silent, or that it is heard.
    pub async fn last_of_node(&self, node: &str) -> Result<Option<Notice>, BusError> {
        let found = self.inner.last_matching(streams::NOTICES, &subjects::notices_of_node(node)).await?;
        found.map(|stored| read("a notice", &stored.payload)).transpose()
    }

    /// Notices as they come, each handed to one process until it is acknowledged.
    pub fn queue(&self) -> Queue<Notice> {
        Queue::new(self.inner.clone(), streams::NOTICES, streams::NOTIFIER_ROUTER, ">", "gantry.notice.")
    }

    /// Hands a callback on, to be delivered. The same job's again within two minutes is harmless.
    pub async fn call_back(&self, callback: Callback) -> Result<(), BusError> {
        self.send(&Outgoing::callback(callback)).await
    }

    /// Hands something to its channel. The same attempt again within two minutes is harmless.
    pub async fn send(&self, outgoing: &Outgoing) -> Result<(), BusError> {
        let what = "an outgoing message";
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, outgoing.attempt_id());
        self.inner
            .publish_surely(what, &subjects::outgoing(outgoing), headers, &write(what, outgoing)?)
            .await
            .map(|_| ())
    }

    /// Hands something to its channel at a later moment, which the broker keeps.
    pub async fn send_at(&self, outgoing: &Outgoing, at: Time) -> Result<(), BusError> {
        let what = "an outgoing message for later";
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Schedule", format!("@at {}", at.rfc3339()));
        headers.insert("Nats-Schedule-Target", subjects::outgoing(outgoing));
        self.inner
            .publish_surely(what, &subjects::outgoing_later(outgoing), headers, &write(what, outgoing)?)
            .await
            .map(|_| ())
    }

    /// What has to leave through a channel, each handed to one process until it is acknowledged.
    pub fn outgoing(&self, channel: &str) -> Queue<Outgoing> {
        let consumer = format!("{}-{channel}", streams::NOTIFIER_CHANNEL);
        Queue::new(self.inner.clone(), streams::OUTGOING, &consumer, &format!("{channel}.*"), "gantry.outgoing.")
    }

    /// Gives something up.
    pub async fn bury(&self, letter: &DeadLetter) -> Result<(), BusError> {
        let what = "a dead letter";
        let subject = subjects::dead_letter(&letter.outgoing.id);
        self.inner.publish_surely(what, &subject, HeaderMap::new(), &write(what, letter)?).await.map(|_| ())
    }

    /// What could not be delivered, oldest first, `limit` at most.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BusError> {
        Ok(self.dead_letters_after(0, limit).await?.0)
    }

    /// What could not be delivered behind a place, oldest first, `limit` at most; and the place where the next page
    /// begins, if there are more.
    pub async fn dead_letters_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<DeadLetter>, Option<u64>), BusError> {
        let (mut letters, mut last) = (Vec::new(), after);
        while letters.len() < limit {
            let batch = (limit - letters.len()).min(64);
            let query =
                Query { seq: last + 1, next_by_subj: subjects::DEAD_LETTERS, batch, max_bytes: 2 * MESSAGE_BYTES };
            let (found, more) = self.inner.read(streams::DEAD_LETTERS, &query).await?;
            let Some(end) = found.last() else { return Ok((letters, None)) };
            last = end.sequence;
            for stored in &found {
                letters.push(read("a dead letter", &stored.payload)?);
            }
            if !more {
                return Ok((letters, None));
            }
        }
        Ok((letters, Some(last)))
    }

    /// A dead letter by the id of what it holds.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, BusError> {
        let found = self.inner.last_at_leader(streams::DEAD_LETTERS, &subjects::dead_letter(id)).await?;
        found.map(|stored| read("a dead letter", &stored.payload)).transpose()
    }

    /// Takes a dead letter back and sends it again from its first attempt, under its old id; says whether there was one.
    pub async fn replay(&self, id: &str) -> Result<bool, BusError> {
        let Some(letter) = self.dead_letter(id).await? else { return Ok(false) };
        self.send(&letter.outgoing.replayed()).await?;
        self.discard(id).await?;
        Ok(true)
    }

    /// Throws a dead letter away.
    pub async fn discard(&self, id: &str) -> Result<(), BusError> {
        self.purge(streams::DEAD_LETTERS, subjects::dead_letter(id)).await
    }

    async fn purge(&self, stream: &str, subject: String) -> Result<(), BusError> {
        let what = format!("deleting from {stream}");
        let unavailable = |error: &dyn ToString| BusError::unavailable(&what, error.to_string());
        let stream = self.inner.js.get_stream_no_info(stream).await.map_err(|error| unavailable(&error))?;
        stream.purge().filter(subject).await.map(|_| ()).map_err(|error| unavailable(&error))
    }
}

fn write<T: Serialize>(what: &'static str, value: &T) -> Result<Bytes, BusError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| BusError::corrupt(what, error))
}

fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, BusError> {
    serde_json::from_slice(body).map_err(|error| BusError::corrupt(what, error))
}
