//! A node's orders as durable work: one agent takes them, and takes them again after it died.

use crate::consume::TAKEOVER;
use crate::{BusError, Inner, streams, subjects};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use domain::nodes::{NodeId, Order};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Orders that an agent holds at once; the rest wait in the stream.
const IN_HAND: i64 = 256;

/// The orders to one node.
pub struct Orders {
    inner: Arc<Inner>,
    name: String,
    config: pull::Config,
    messages: Option<pull::Stream>,
}

/// An order, held until it is acknowledged.
pub struct OrderDelivery {
    /// The order.
    pub order: Order,
    /// How often it was delivered, from 1.
    pub delivered: i64,
    acker: Acker,
}

impl Orders {
    pub(super) fn new(inner: Arc<Inner>, node: &NodeId) -> Self {
        let name = streams::agent_name(node);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: TAKEOVER,
            max_ack_pending: IN_HAND,
            filter_subject: subjects::node_order(node),
            ..Default::default()
        };
        Self { inner, name, config, messages: None }
    }

    /// The next order. Waits for ever; while the broker is away it keeps trying.
    pub async fn next(&mut self) -> OrderDelivery {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.try_next().await {
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

    async fn try_next(&mut self) -> Result<Option<OrderDelivery>, BusError> {
        let mut messages = match self.messages.take() {
            Some(messages) => messages,
            None => self.open().await?,
        };
        let Some(next) = messages.next().await else { return Ok(None) };
        let message = next.map_err(|error| BusError::unavailable("consuming orders", error))?;
        self.messages = Some(messages);
        let delivered = message.info().map_err(|error| BusError::corrupt("an order", error))?.delivered;
        let (message, acker) = message.split();
        match serde_json::from_slice(&message.payload) {
            Ok(order) => Ok(Some(OrderDelivery { order, delivered, acker })),
            Err(error) => {
                // It will not become readable; whoever gave it hears nothing and its deadline passes.
                tracing::error!(%error, consumer = self.name, "an order cannot be read and is dropped");
                tell(&acker, AckKind::Term).await;
                Ok(None)
            }
        }
    }

    async fn open(&self) -> Result<pull::Stream, BusError> {
        let what = "opening a consumer of orders";
        let unavailable = |error: &dyn ToString| BusError::unavailable(what, error.to_string());
        let stream = self.inner.js.get_stream_no_info(streams::NODE_ORDERS).await.map_err(|e| unavailable(&e))?;
        let opened = stream.get_or_create_consumer(&self.name, self.config.clone()).await;
        let consumer: PullConsumer = opened.map_err(|error| unavailable(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(64)
            .expires(Duration::from_secs(5))
            .heartbeat(Duration::from_millis(1_500))
            .messages();
        messages.await.map_err(|error| unavailable(&error))
    }
}

impl OrderDelivery {
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

/// A lost acknowledgement only means another delivery, which finds the work done.
async fn tell(acker: &Acker, kind: AckKind) {
    if let Err(error) = acker.ack_with(kind).await {
        tracing::debug!(%error, "acknowledgement was not sent");
    }
}
