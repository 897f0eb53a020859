//! A durable consumer whose messages are values: delivered to one process at a time, again when it dies.

use crate::consume::TAKEOVER;
use crate::{BusError, Inner};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Messages that all processes together hold at once; the rest wait in the stream.
const IN_HAND: i64 = 1_024;
/// Messages that wait in this process; a small number, because nobody shows a sign of life for them.
const PREFETCH: usize = 16;

/// The messages of one durable consumer.
pub struct Queue<T> {
    inner: Arc<Inner>,
    stream: &'static str,
    config: pull::Config,
    messages: Option<pull::Stream>,
    holds: PhantomData<T>,
}

/// A message, held until it is acknowledged.
pub struct Held<T> {
    /// What it says.
    pub value: T,
    acker: Acker,
}

impl<T: DeserializeOwned> Queue<T> {
    pub(super) fn new(inner: Arc<Inner>, stream: &'static str, name: &str, filter: &str, prefix: &str) -> Self {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: TAKEOVER,
            max_ack_pending: IN_HAND,
            filter_subject: format!("{prefix}{filter}"),
            num_replicas: inner.layout.replicas,
            ..Default::default()
        };
        Self { inner, stream, config, messages: None, holds: PhantomData }
    }

    /// The next message. Waits for ever; while the broker is away it keeps trying.
    pub async fn next(&mut self) -> Held<T> {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_next().await {
                Ok(Some(held)) => return held,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, stream = self.stream, "consumer is opened anew");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
        }
    }

    /// May be dropped at any await without losing a message: the stream stays where it is until it has broken.
    async fn try_next(&mut self) -> Result<Option<Held<T>>, BusError> {
        if self.messages.is_none() {
            self.messages = Some(self.open().await?);
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        let message = match messages.next().await {
            Some(Ok(message)) => message,
            // Whatever is wrong, a durable consumer opened anew goes on where it was.
            None => {
                self.messages = None;
                return Ok(None);
            }
            Some(Err(error)) => {
                self.messages = None;
                return Err(BusError::unavailable("consuming", error));
            }
        };
        let (message, acker) = message.split();
        match serde_json::from_slice(&message.payload) {
            Ok(value) => Ok(Some(Held { value, acker })),
            Err(error) => {
                tracing::error!(%error, stream = self.stream, "a message that nobody can read is dropped");
                tell(&acker, AckKind::Term).await;
                Ok(None)
            }
        }
    }

    async fn open(&self) -> Result<pull::Stream, BusError> {
        let unavailable = |error: &dyn ToString| BusError::unavailable("opening a consumer", error.to_string());
        let stream = self.inner.js.get_stream_no_info(self.stream).await.map_err(|error| unavailable(&error))?;
        let name = self.config.durable_name.clone().unwrap_or_default();
        let opened = stream.get_or_create_consumer(&name, self.config.clone()).await;
        let consumer: PullConsumer = opened.map_err(|error| unavailable(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(PREFETCH)
            .expires(Duration::from_secs(5))
            .heartbeat(Duration::from_millis(1_500))
            .messages();
        messages.await.map_err(|error| unavailable(&error))
    }
}

impl<T> Held<T> {
    /// Done: it will not come again.
    pub async fn ack(&self) {
        tell(&self.acker, AckKind::Ack).await;
    }

    /// Still at it. To be repeated every [`crate::Bus::SIGN_OF_LIFE`].
    pub async fn sign_of_life(&self) {
        tell(&self.acker, AckKind::Progress).await;
    }

    /// Not now: deliver it again after a while.
    pub async fn again_in(&self, delay: Duration) {
        tell(&self.acker, AckKind::Nak(Some(delay))).await;
    }
}

/// A lost acknowledgement only means another delivery.
async fn tell(acker: &Acker, kind: AckKind) {
    if let Err(error) = acker.ack_with(kind).await {
        tracing::debug!(%error, "acknowledgement was not sent");
    }
}
