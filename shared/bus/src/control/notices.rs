//! Notices out of the log: as durable work for the notifier, or as a feed for whoever shows them.

use super::follow::Tail;
use super::read;
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use domain::control::Notice;
use futures::StreamExt;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The part of a step that followers read.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    notices: Vec<Notice>,
}

/// Notices of all steps from a position on, for event streams and read models.
pub struct NoticeTail {
    tail: Tail,
}

/// Notices as durable work of one consumer, shared by all processes that name it.
pub struct NoticeFeed {
    inner: Arc<Inner>,
    name: String,
    prefetch: usize,
    messages: Option<pull::Stream>,
}

/// The notices of one step, held until they are acknowledged.
pub struct NoticeDelivery {
    /// The step's position; with a notice's index it names the notice for ever.
    pub sequence: u64,
    /// How often they were delivered, from 1.
    pub delivered: i64,
    /// The notices, oldest first; never empty.
    pub notices: Vec<Notice>,
    acker: Acker,
}

impl Bus {
    /// Notices behind a position; 0 is the oldest that is kept.
    pub fn notices_after(&self, sequence: u64) -> NoticeTail {
        NoticeTail { tail: Tail::new(self.inner.clone(), streams::CONTROL, subjects::CONTROL_LOG, sequence + 1) }
    }

    /// Position of the last step: where a follower begins that wants only what comes.
    pub async fn notices_end(&self) -> Result<u64, BusError> {
        let last = self.inner.last_at_leader(streams::CONTROL, subjects::CONTROL_LOG).await?;
        Ok(last.map_or(0, |stored| stored.sequence))
    }

    /// Notices for a durable consumer of that name (`notifier`). Who acknowledges late is given them again after
    /// `ack_within`. Beginning: when the consumer is first made, it gets everything that is kept.
    pub fn notice_feed(&self, name: &str, prefetch: usize) -> NoticeFeed {
        NoticeFeed { inner: self.inner.clone(), name: name.to_owned(), prefetch, messages: None }
    }
}

impl NoticeTail {
    /// The next step's notices with its position; an empty list means that the step told nothing. Waits for ever.
    pub async fn next(&mut self) -> (u64, Vec<Notice>) {
        let stored = self.tail.next().await;
        (stored.sequence, parse(stored.sequence, &stored.payload))
    }
}

impl NoticeFeed {
    const ACK_WITHIN: Duration = Duration::from_secs(30);

    /// The next step that told something. Waits for ever; while the broker is away it keeps trying.
    pub async fn next(&mut self) -> NoticeDelivery {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_next().await {
                Ok(Some(delivery)) if delivery.notices.is_empty() => delivery.ack().await,
                Ok(Some(delivery)) => return delivery,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, consumer = self.name, "consumer is opened anew");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<NoticeDelivery>, BusError> {
        let mut messages = match self.messages.take() {
            Some(messages) => messages,
            None => self.open().await?,
        };
        let Some(next) = messages.next().await else { return Ok(None) };
        let message = next.map_err(|error| BusError::unavailable("consuming notices", error))?;
        self.messages = Some(messages);
        let info = message.info().map_err(|error| BusError::corrupt("a notice", error))?;
        let (sequence, delivered) = (info.stream_sequence, info.delivered);
        let (message, acker) = message.split();
        Ok(Some(NoticeDelivery { sequence, delivered, notices: parse(sequence, &message.payload), acker }))
    }

    async fn open(&self) -> Result<pull::Stream, BusError> {
        let what = "opening a consumer of notices";
        let unavailable = |error: &dyn ToString| BusError::unavailable(what, error.to_string());
        let stream = self.inner.js.get_stream_no_info(streams::CONTROL).await.map_err(|error| unavailable(&error))?;
        let config = pull::Config {
            durable_name: Some(self.name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Self::ACK_WITHIN,
            deliver_policy: DeliverPolicy::All,
            max_ack_pending: 1_024,
            filter_subject: subjects::CONTROL_LOG.to_owned(),
            num_replicas: self.inner.layout.replicas,
            ..Default::default()
        };
        let consumer: PullConsumer =
            stream.get_or_create_consumer(&self.name, config).await.map_err(|error| unavailable(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(self.prefetch.max(1))
            .expires(Duration::from_secs(5))
            .heartbeat(Duration::from_millis(1_500))
            .messages();
        messages.await.map_err(|error| unavailable(&error))
    }
}

impl NoticeDelivery {
    /// Done: they will not come again.
    pub async fn ack(&self) {
        self.tell(AckKind::Ack).await;
    }

    /// Still at it.
    pub async fn sign_of_life(&self) {
        self.tell(AckKind::Progress).await;
    }

    /// Not now: deliver them again after a while.
    pub async fn again_in(&self, delay: Duration) {
        self.tell(AckKind::Nak(Some(delay))).await;
    }

    async fn tell(&self, kind: AckKind) {
        if let Err(error) = self.acker.ack_with(kind).await {
            tracing::debug!(%error, sequence = self.sequence, "acknowledgement was not sent");
        }
    }
}

fn parse(sequence: u64, body: &[u8]) -> Vec<Notice> {
    match read::<Told>("a step of the control log", body) {
        Ok(told) => told.notices,
        Err(error) => {
            tracing::error!(%error, sequence, "notices are passed over");
            Vec::new()
        }
    }
}
