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
mod deferred;
mod documents;
mod durable;
mod error;
mod inbox;
mod journal;
mod keys;
mod message;
mod models;
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
pub use deferred::{DeferredHolders, DeferredJobs, DeferredTail};
pub use error::BusError;
pub use inbox::{Inbox, Pending};
pub use journal::{Commit, CommitOutcome, Journal, JournalMessage, JournalTail};
pub use keys::{Keys, Leases};
pub use message::TraceContext;
pub use models::Models;
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
use std::time::Duration;
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

    /// Sees to it that what lies in the broker's memory is there: a single broker that restarts has lost it, streams and
    /// all. Waits for ever; one task of each process that provisions the broker runs it.
    pub async fn keep_memory(&self) {
        let mut connects = self.connects();
        while connects.changed().await.is_ok() {
            let mut pause = Duration::from_millis(50);
            while let Err(error) = provision::memory(&self.inner.js, self.inner.layout).await {
                if !error.is_transient() {
                    tracing::error!(%error, "what lies in the broker's memory cannot be made anew");
                    break;
                }
                tracing::debug!(%error, "what lies in the broker's memory is not there yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }

    /// Sends what is buffered, for an orderly end.
    pub async fn flush(&self) {
        if let Err(error) = self.inner.client.flush().await {
            tracing::debug!(%error, "broker connection closed before the last flush");
        }
    }
}
