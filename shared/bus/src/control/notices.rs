//! Notices out of the log: as durable work for the notifier, or as a feed for whoever shows them.

use super::follow::Tail;
use super::read;
use crate::durable::{Durable, tell};
use crate::{Bus, BusError, streams, subjects};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use domain::control::Notice;
use serde::Deserialize;
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
pub struct NoticeFeed(Durable);

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
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: NoticeFeed::ACK_WITHIN,
            deliver_policy: DeliverPolicy::All,
            max_ack_pending: 1_024,
            filter_subject: subjects::CONTROL_LOG.to_owned(),
            num_replicas: self.inner.layout.replicas,
            ..Default::default()
        };
        NoticeFeed(Durable::new(self.inner.clone(), streams::CONTROL.to_owned(), config, prefetch))
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
        loop {
            match delivery(self.0.next().await) {
                Ok(delivery) if delivery.notices.is_empty() => delivery.ack().await,
                Ok(delivery) => return delivery,
                Err(error) => tracing::error!(%error, stream = self.0.stream(), "a delivery cannot be read"),
            }
        }
    }
}

fn delivery(message: Message) -> Result<NoticeDelivery, BusError> {
    let info = message.info().map_err(|error| BusError::corrupt("a notice", error))?;
    let (sequence, delivered) = (info.stream_sequence, info.delivered);
    let (message, acker) = message.split();
    Ok(NoticeDelivery { sequence, delivered, notices: parse(sequence, &message.payload), acker })
}

impl NoticeDelivery {
    /// Done: they will not come again.
    pub async fn ack(&self) {
        tell(&self.acker, AckKind::Ack).await;
    }

    /// Still at it.
    pub async fn sign_of_life(&self) {
        tell(&self.acker, AckKind::Progress).await;
    }

    /// Not now: deliver them again after a while.
    pub async fn again_in(&self, delay: Duration) {
        tell(&self.acker, AckKind::Nak(Some(delay))).await;
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
