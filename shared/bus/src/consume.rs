//! Doorbells and commands as durable work: delivered to one process at a time, again when it dies.

use crate::durable::{Durable, tell};
use crate::message::TraceContext;
use crate::{Bus, BusError, streams, subjects};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::{AckKind, Acker};
use bytes::Bytes;
use domain::{Plane, RunId};
use std::time::Duration;

/// After this long without a sign of life from the process that holds it, a message is given to another.
pub(crate) const TAKEOVER: Duration = Duration::from_secs(2);

/// A stream of deliveries of one durable consumer.
pub struct Deliveries(Durable);

/// One message, held until it is acknowledged.
pub struct Delivery {
    /// Whose data.
    pub plane: Plane,
    /// The run it concerns.
    pub run: RunId,
    /// Position in its stream.
    pub sequence: u64,
    /// How often it was delivered, from 1.
    pub delivered: i64,
    /// The body.
    pub body: Bytes,
    /// What caused it.
    pub trace: TraceContext,
    acker: Acker,
}

impl Bus {
    /// How often a holder has to show that it lives: well inside the time after which others take over.
    pub const SIGN_OF_LIFE: Duration = Duration::from_millis(600);

    /// Doorbells of a shard, shared by all runners. At most `prefetch` wait here unprocessed.
    pub fn doorbells(&self, shard: u16, prefetch: usize) -> Deliveries {
        let config = pull::Config {
            durable_name: Some(streams::RUNNERS.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: TAKEOVER,
            max_ack_pending: 20_000,
            filter_subject: format!("gantry.inbox.{shard}.>"),
            num_replicas: self.inner.layout.replicas,
            ..Default::default()
        };
        Deliveries(Durable::new(self.inner.clone(), streams::inbox_name(shard), config, prefetch))
    }

    /// Commands of a plane in the order of their `seq`: one at a time over all processes, so none overtakes another.
    pub fn commands_to_route(&self, plane: &Plane) -> Deliveries {
        let config = pull::Config {
            durable_name: Some(streams::ROUTER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: TAKEOVER,
            max_ack_pending: 1,
            num_replicas: self.inner.layout.replicas,
            ..Default::default()
        };
        Deliveries(Durable::new(self.inner.clone(), streams::commands_name(plane), config, 1))
    }
}

impl Deliveries {
    /// The next message. Waits for ever; while the broker is away it keeps trying.
    pub async fn next(&mut self) -> Delivery {
        loop {
            match parse(self.0.next().await) {
                Ok(delivery) => return delivery,
                Err(refused) => {
                    let (error, acker) = *refused;
                    tracing::error!(%error, stream = self.0.stream(), "a message that nobody can read is dropped");
                    tell(&acker, AckKind::Term).await;
                }
            }
        }
    }
}

fn parse(message: async_nats::jetstream::Message) -> Result<Delivery, Box<(BusError, Acker)>> {
    let info = message.info().map(|info| (info.stream_sequence, info.delivered)).map_err(|error| error.to_string());
    let (message, acker) = message.split();
    let (sequence, delivered) = match info {
        Ok(info) => info,
        Err(error) => return Err(Box::new((BusError::corrupt("a delivery", error), acker))),
    };
    let place = if message.subject.starts_with("gantry.command.") {
        subjects::parse_command(&message.subject)
    } else {
        subjects::parse_run(&message.subject)
    };
    let Some((plane, run)) = place else {
        let error = BusError::corrupt("a delivery", format!("its subject is {}", message.subject));
        return Err(Box::new((error, acker)));
    };
    let trace = TraceContext::read(message.headers.as_ref());
    Ok(Delivery { plane, run, sequence, delivered, body: message.payload, trace, acker })
}

impl Delivery {
    /// Whether this is the inbox of that run. One whose id would break a subject goes by another name here.
    pub fn is_for(&self, run: &RunId) -> bool {
        self.run.as_str() == subjects::run_token(run)
    }

    /// How often it was delivered, from 1.
    pub fn delivery(&self) -> u64 {
        u64::try_from(self.delivered).unwrap_or(0)
    }

    /// Done: it will not come again.
    pub async fn ack(&self) {
        tell(&self.acker, AckKind::Ack).await;
    }

    /// Still at it: do not give it to another yet.
    pub async fn sign_of_life(&self) {
        tell(&self.acker, AckKind::Progress).await;
    }

    /// Not now: deliver it again after a while.
    pub async fn again_in(&self, delay: Duration) {
        tell(&self.acker, AckKind::Nak(Some(delay))).await;
    }
}
