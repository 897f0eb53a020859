//! A durable consumer whose messages are values: delivered to one process at a time, again when it dies.

use crate::durable::{open, tell};
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
/// After this long without a sign of life from the process that holds it, a message is given to another. Longer than for
/// doorbells: nobody waits for a notice as for a step, and each takeover may mean that somebody is told twice.
const TAKEOVER: Duration = Duration::from_secs(10);
/// How long one request for messages stays with the broker.
const ASKED_FOR: Duration = Duration::from_secs(5);

/// The messages of one durable consumer. They are asked for when somebody is there to take them, so that none lies here
/// while others take it for lost.
pub struct Queue<T> {
    inner: Arc<Inner>,
    stream: &'static str,
    config: pull::Config,
    at_once: usize,
    consumer: Option<PullConsumer>,
    messages: Option<pull::Batch>,
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
        Self { inner, stream, config, at_once: 1, consumer: None, messages: None, holds: PhantomData }
    }

    /// Asks for so many at once; for whoever takes each up in a moment.
    #[must_use]
    pub fn at_once(self, at_once: usize) -> Self {
        Self { at_once: at_once.max(1), ..self }
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

    /// May be dropped at any await without losing a message: what was asked for stays until it has come or is over.
    async fn try_next(&mut self) -> Result<Option<Held<T>>, BusError> {
        if self.messages.is_none() {
            self.messages = Some(self.ask().await?);
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        let message = match messages.next().await {
            Some(Ok(message)) => message,
            None => {
                self.messages = None;
                return Ok(None);
            }
            // Whatever is wrong, a durable consumer opened anew goes on where it was.
            Some(Err(error)) => {
                self.messages = None;
                self.consumer = None;
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

    async fn ask(&mut self) -> Result<pull::Batch, BusError> {
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => open(&self.inner, self.stream, &self.config).await?,
        };
        let asked = consumer.batch().max_messages(self.at_once).expires(ASKED_FOR).messages().await;
        let asked = asked.map_err(|error| BusError::unavailable("asking for messages", error))?;
        self.consumer = Some(consumer);
        Ok(asked)
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
