//! Accounts of model requests: events that everybody may read again, kept for ninety days.

use crate::publish::MESSAGE_ID;
use crate::{Bus, BusError, Inner, streams};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use bytes::Bytes;
use domain::Plane;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Writes accounts of one plane, and reads those of all.
#[derive(Clone)]
pub struct UsageLog {
    inner: Arc<Inner>,
    plane: Plane,
}

/// A stored account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUsage {
    /// Position in the stream.
    pub sequence: u64,
    /// Whose.
    pub plane: Plane,
    /// The account, as JSON.
    pub body: Bytes,
}

impl Bus {
    /// The accounts of a plane.
    pub fn usage(&self, plane: &Plane) -> UsageLog {
        UsageLog { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl UsageLog {
    /// Stores an account. Its id makes a second send within two minutes harmless.
    pub async fn record(&self, id: &str, body: &Bytes) -> Result<(), BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, id);
        let subject = format!("gantry.usage.{}", self.plane);
        self.inner.publish_surely("an account", &subject, headers, body).await.map(|_| ())
    }

    /// Hands every account behind `after` on, then new ones, until the reading breaks; the caller begins again.
    pub async fn follow(&self, after: u64, to: &mpsc::Sender<StoredUsage>) -> Result<(), BusError> {
        let what = "following accounts";
        let stream = self
            .inner
            .js
            .get_stream_no_info(streams::USAGE)
            .await
            .map_err(|error| BusError::unavailable(what, error))?;
        let config = pull::Config {
            deliver_policy: async_nats::jetstream::consumer::DeliverPolicy::ByStartSequence {
                start_sequence: after + 1,
            },
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            ..Default::default()
        };
        let consumer: PullConsumer =
            stream.create_consumer(config).await.map_err(|error| BusError::unavailable(what, error))?;
        let mut messages = consumer.messages().await.map_err(|error| BusError::unavailable(what, error))?;
        let mut connects = self.inner.connects.clone();
        connects.mark_unchanged();
        loop {
            let next = tokio::select! {
                _ = connects.changed() => return Ok(()),
                next = messages.next() => next,
            };
            let Some(message) = next else { return Ok(()) };
            let message = message.map_err(|error| BusError::unavailable(what, error))?;
            let sequence = message.info().map_err(|error| BusError::corrupt(what, error))?.stream_sequence;
            let mut tokens = message.subject.split('.').skip(2);
            let (Some(tenant), Some(name)) = (tokens.next(), tokens.next()) else { continue };
            let Ok(plane) = Plane::new(tenant, name) else { continue };
            if to.send(StoredUsage { sequence, plane, body: message.payload.clone() }).await.is_err() {
                return Ok(());
            }
        }
    }
}
