//! The one place that knows the broker: subjects, streams, buckets, and how messages are published and consumed.
//!
//! Every other crate speaks of runs, commands and blobs. What each stream is for, and why it is configured as it is,
//! is said in [`streams`](crate::topology); `nats/topology.txt` is printed from the same declarations.

mod attach;
mod batch;
mod blobs;
mod catalog;
mod commands;
mod connect;
mod consume;
pub mod control;
mod documents;
mod durable;
mod error;
mod inbox;
mod journal;
mod keys;
mod message;
mod nodes;
mod notices;
mod outcomes;
mod provision;
mod publish;
mod streams;
mod subjects;
mod tap;
mod timers;
pub mod topology;
mod usage;
mod waits;

pub use attach::attach;
pub use blobs::Blobs;
pub use catalog::{Catalog, CatalogEntry, CatalogUpdate};
pub use commands::{Accepted, CommandLog, LoggedCommand};
pub use connect::{BusOptions, Connection, connect};
pub use consume::{Deliveries, Delivery};
pub use error::BusError;
pub use inbox::{Inbox, Pending};
pub use journal::{Commit, CommitOutcome, Journal, JournalMessage, JournalTail};
pub use keys::{KeyUpdate, Keys, Leases};
pub use message::TraceContext;
pub use nodes::{NodeEvents, NodeUpdate, NodeWatch, Nodes, OrderDelivery, Orders};
pub use notices::{Held, Notices, Queue};
pub use outcomes::Outcomes;
pub use publish::Sent;
pub use streams::{Durability, Layout};
pub use tap::{TAPS, Tap};
pub use timers::Timers;
pub use usage::{StoredUsage, UsageLog};
pub use waits::Waits;

use async_nats::jetstream;
use std::sync::Arc;
use tokio::sync::watch;

/// A verified connection to a provisioned broker. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    pub(crate) layout: Layout,
    pub(crate) blobs: tokio::sync::OnceCell<jetstream::object_store::ObjectStore>,
    pub(crate) connects: watch::Receiver<u64>,
}

impl Bus {
    /// How many shards and replicas the broker was provisioned with.
    pub fn layout(&self) -> Layout {
        self.inner.layout
    }

    /// Whether the connection is up now.
    pub fn is_connected(&self) -> bool {
        self.inner.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Rises by one each time the connection comes up again; whoever follows a stream resumes on it.
    pub fn connects(&self) -> watch::Receiver<u64> {
        self.inner.connects.clone()
    }

    /// Sends what is buffered, for an orderly end.
    pub async fn flush(&self) {
        if let Err(error) = self.inner.client.flush().await {
            tracing::debug!(%error, "broker connection closed before the last flush");
        }
    }
}
