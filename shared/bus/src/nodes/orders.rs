//! A node's orders as durable work: one agent takes them, and takes them again after it died.

use crate::consume::TAKEOVER;
use crate::durable::{Durable, tell};
use crate::{Inner, streams, subjects};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use domain::nodes::{NodeId, Order};
use std::sync::Arc;
use std::time::Duration;

/// Orders that an agent holds at once; the rest wait in the stream.
const IN_HAND: i64 = 256;
/// Orders that lie with an agent before it takes them up.
const PREFETCH: usize = 64;

/// The orders to one node.
pub struct Orders {
    name: String,
    durable: Durable,
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
        Self { durable: Durable::new(inner, streams::NODE_ORDERS.to_owned(), config, PREFETCH), name }
    }

    /// The next order. Waits for ever; while the broker is away it keeps trying.
    pub async fn next(&mut self) -> OrderDelivery {
        loop {
            let message = self.durable.next().await;
            let delivered = message.info().map(|info| info.delivered).map_err(|error| error.to_string());
            let (message, acker) = message.split();
            let read = |delivered| serde_json::from_slice(&message.payload).map(|order| (order, delivered));
            match delivered.and_then(|delivered| read(delivered).map_err(|error| error.to_string())) {
                Ok((order, delivered)) => return OrderDelivery { order, delivered, acker },
                Err(error) => {
                    // It will not become readable; whoever gave it hears nothing and its deadline passes.
                    tracing::error!(%error, consumer = self.name, "an order cannot be read and is dropped");
                    tell(&acker, AckKind::Term).await;
                }
            }
        }
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
