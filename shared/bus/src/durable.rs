//! A durable consumer as every kind of delivered work opens it: again behind what was acknowledged, whatever broke.

use crate::{BusError, Inner};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// How long one request for messages stays with the broker.
const ASKED_FOR: Duration = Duration::from_secs(5);
/// Silence of the broker is noticed after two of these.
const HEARTBEAT: Duration = Duration::from_millis(1_500);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The messages of one durable consumer, pushed as they come.
pub(crate) struct Durable {
    inner: Arc<Inner>,
    stream: String,
    config: pull::Config,
    prefetch: usize,
    messages: Option<pull::Stream>,
}

impl Durable {
    /// At most `prefetch` messages wait here unprocessed.
    pub(crate) fn new(inner: Arc<Inner>, stream: String, config: pull::Config, prefetch: usize) -> Self {
        Self { inner, stream, config, prefetch: prefetch.max(1), messages: None }
    }

    /// The stream that it reads.
    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// The next message. Waits for ever, and keeps trying while the broker is away. May be dropped at any await.
    pub(crate) async fn next(&mut self) -> Message {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_next().await {
                Ok(Some(message)) => return message,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, stream = self.stream, "consumer is opened anew");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            self.messages = None;
        }
    }

    async fn try_next(&mut self) -> Result<Option<Message>, BusError> {
        if self.messages.is_none() {
            self.messages = Some(self.open().await?);
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        let next = messages.next().await.transpose();
        next.map_err(|error| BusError::unavailable("consuming", error))
    }

    async fn open(&self) -> Result<pull::Stream, BusError> {
        let consumer = open(&self.inner, &self.stream, &self.config).await?;
        let messages =
            consumer.stream().max_messages_per_batch(self.prefetch).expires(ASKED_FOR).heartbeat(HEARTBEAT).messages();
        messages.await.map_err(|error| BusError::unavailable("opening a consumer", error))
    }
}

/// The durable consumer of that configuration, made if it is not there.
pub(crate) async fn open(inner: &Inner, stream: &str, config: &pull::Config) -> Result<PullConsumer, BusError> {
    let unavailable = |error: &dyn ToString| BusError::unavailable("opening a consumer", error.to_string());
    let stream = inner.js.get_stream_no_info(stream).await.map_err(|error| unavailable(&error))?;
    let name = config.durable_name.clone().unwrap_or_default();
    stream.get_or_create_consumer(&name, config.clone()).await.map_err(|error| unavailable(&error))
}

/// A lost acknowledgement only means another delivery, which finds the work done.
pub(crate) async fn tell(acker: &Acker, kind: AckKind) {
    if let Err(error) = acker.ack_with(kind).await {
        tracing::debug!(%error, "acknowledgement was not sent");
    }
}
