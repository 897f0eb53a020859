//! Reading a stream in order through lost connections, by one consumer that is made anew behind the last message.

use crate::batch::Stored;
use crate::{BusError, Inner};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Everything of a filter from a position on.
pub(super) struct Tail {
    inner: Arc<Inner>,
    stream: &'static str,
    filter: &'static str,
    next: u64,
    messages: Option<pull::Ordered>,
    connects: watch::Receiver<u64>,
}

impl Tail {
    pub(super) fn new(inner: Arc<Inner>, stream: &'static str, filter: &'static str, from: u64) -> Self {
        let connects = inner.connects.clone();
        Self { inner, stream, filter, next: from.max(1), messages: None, connects }
    }

    /// The next message. Waits for ever.
    pub(super) async fn next(&mut self) -> Stored {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_next().await {
                Ok(Some(message)) => return message,
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

    async fn try_next(&mut self) -> Result<Option<Stored>, BusError> {
        if self.messages.is_none() {
            self.connects.mark_unchanged();
            self.messages = Some(open(&self.inner, self.stream, self.filter, self.next).await?);
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        tokio::select! {
            // The server forgets such a reader when it restarts, and only missed heartbeats would tell.
            changed = self.connects.changed() => {
                changed.map_err(|error| BusError::unavailable(self.stream, error))?;
                self.messages = None;
                Ok(None)
            }
            next = messages.next() => {
                let Some(message) = next else { return Err(BusError::unavailable(self.stream, "the reader ended")) };
                let message = message.map_err(|error| BusError::unavailable(self.stream, error))?;
                let info = message.info().map_err(|error| BusError::corrupt(self.stream, error))?;
                let sequence = info.stream_sequence;
                if sequence < self.next {
                    return Ok(None);
                }
                self.next = sequence + 1;
                let (message, _) = message.split();
                let (subject, headers, payload) = (message.subject.to_string(), message.headers, message.payload);
                Ok(Some(Stored { subject, sequence, headers, payload }))
            }
        }
    }
}

async fn open(
    inner: &Inner,
    stream: &'static str,
    filter: &str,
    start_sequence: u64,
) -> Result<pull::Ordered, BusError> {
    let unavailable = |error: &dyn ToString| BusError::unavailable(stream, error.to_string());
    let handle = inner.js.get_stream_no_info(stream).await.map_err(|error| unavailable(&error))?;
    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        filter_subject: filter.to_owned(),
        ..Default::default()
    };
    let consumer = handle.create_consumer(config).await.map_err(|error| unavailable(&error))?;
    consumer.messages().await.map_err(|error| unavailable(&error))
}
