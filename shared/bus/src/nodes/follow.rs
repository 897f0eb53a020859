//! Following a stream of nodes in order, through lost connections.

use super::read;
use crate::{BusError, Inner, streams};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use domain::nodes::NodeEvent;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Everything of one stream from a position on. A reader lost with its connection is made anew.
pub(crate) struct Tail<T> {
    inner: Arc<Inner>,
    stream: &'static str,
    next: u64,
    /// Whether a new reader begins at the oldest message instead of behind the last one seen.
    from_oldest: bool,
    messages: Option<pull::Ordered>,
    connects: watch::Receiver<u64>,
    holds: PhantomData<T>,
}

impl<T: DeserializeOwned> Tail<T> {
    pub(crate) fn new(inner: Arc<Inner>, stream: &'static str, from: u64, from_oldest: bool) -> Self {
        let connects = inner.connects.clone();
        Self { inner, stream, next: from.max(1), from_oldest, messages: None, connects, holds: PhantomData }
    }

    /// The next message and its position. Waits for ever.
    pub(crate) async fn next(&mut self) -> (u64, T) {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_next().await {
                Ok(Some(found)) => return found,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, stream = self.stream, "reader is made anew");
                    self.messages = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<(u64, T)>, BusError> {
        if self.messages.is_none() {
            self.connects.mark_unchanged();
            let start_sequence = if self.from_oldest { 1 } else { self.next };
            self.messages = Some(open(&self.inner, self.stream, start_sequence).await?);
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        tokio::select! {
            // The server forgets such a reader when it restarts, and only missed heartbeats would tell.
            changed = self.connects.changed() => {
                changed.map_err(|error| BusError::unavailable("following a stream", error))?;
                self.messages = None;
                Ok(None)
            }
            next = messages.next() => {
                let Some(message) = next else {
                    return Err(BusError::unavailable("following a stream", "the reader ended"));
                };
                let message = message.map_err(|error| BusError::unavailable("following a stream", error))?;
                let info = message.info().map_err(|error| BusError::corrupt(self.stream, error))?;
                let sequence = info.stream_sequence;
                if sequence < self.next && !self.from_oldest {
                    return Ok(None);
                }
                self.next = sequence + 1;
                match read(self.stream, &message.payload) {
                    Ok(value) => Ok(Some((sequence, value))),
                    Err(error) => {
                        tracing::error!(%error, sequence, "a message is passed over");
                        Ok(None)
                    }
                }
            }
        }
    }
}

async fn open(inner: &Inner, name: &'static str, start_sequence: u64) -> Result<pull::Ordered, BusError> {
    let unavailable = |error: &dyn ToString| BusError::unavailable("following a stream", error.to_string());
    let stream = inner.js.get_stream_no_info(name).await.map_err(|error| unavailable(&error))?;
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence };
    let config = pull::OrderedConfig { deliver_policy, ..Default::default() };
    let consumer = stream.create_consumer(config).await.map_err(|error| unavailable(&error))?;
    consumer.messages().await.map_err(|error| unavailable(&error))
}

/// Events of all nodes in the order in which they were stored.
pub struct NodeEvents {
    tail: Tail<NodeEvent>,
}

impl NodeEvents {
    pub(super) fn new(inner: Arc<Inner>, from: u64) -> Self {
        Self { tail: Tail::new(inner, streams::NODE_EVENTS, from, false) }
    }

    /// The next event and its position. Waits for ever. Of each subject some hundred are kept; whoever comes later than
    /// that finds in the reports how things are.
    pub async fn next(&mut self) -> (u64, NodeEvent) {
        self.tail.next().await
    }
}
