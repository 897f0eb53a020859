//! The little that a notifier remembers: how far it has followed the ledgers, and which targets want nothing more.

use super::{Notices, read, write};
use crate::{BusError, streams, subjects};
use async_nats::HeaderMap;

impl Notices {
    /// Sequence of the last message of a ledger shard that was looked at; none before the first.
    pub async fn position(&self, shard: u16) -> Result<Option<u64>, BusError> {
        let found = self.inner.last_at_leader(streams::NOTIFIER, &subjects::notifier_position(shard)).await?;
        found.map(|stored| read("a notifier's position", &stored.payload)).transpose()
    }

    /// Remembers how far a ledger shard was looked at. An older one than the last only means looking twice.
    pub async fn save_position(&self, shard: u16, sequence: u64) -> Result<(), BusError> {
        let what = "a notifier's position";
        let subject = subjects::notifier_position(shard);
        self.inner.publish_surely(what, &subject, HeaderMap::new(), &write(what, &sequence)?).await.map(|_| ())
    }

    /// Why a target is sent nothing any more, if it is not.
    pub async fn disabled(&self, target: &str) -> Result<Option<String>, BusError> {
        let found = self.inner.last_at_leader(streams::NOTIFIER, &subjects::notifier_disabled(target)).await?;
        found.map(|stored| read("a disabled target", &stored.payload)).transpose()
    }

    /// Sends a target nothing any more, until it is enabled.
    pub async fn disable(&self, target: &str, because: &str) -> Result<(), BusError> {
        let what = "a disabled target";
        let subject = subjects::notifier_disabled(target);
        self.inner.publish_surely(what, &subject, HeaderMap::new(), &write(what, &because)?).await.map(|_| ())
    }

    /// Sends to a target again.
    pub async fn enable(&self, target: &str) -> Result<(), BusError> {
        self.purge(streams::NOTIFIER, subjects::notifier_disabled(target)).await
    }
}
