//! The little that a notifier remembers: how far it has followed the ledgers, and which channels' targets want nothing more.

use super::{Notices, read, write};
use crate::batch::Query;
use crate::{BusError, streams, subjects};
use async_nats::HeaderMap;
use domain::limits::MESSAGE_BYTES;
use domain::notices::DisabledChannel;

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

    /// Why a channel is sent nothing any more, if it is not.
    pub async fn disabled(&self, channel: &str) -> Result<Option<DisabledChannel>, BusError> {
        let found = self.inner.last_at_leader(streams::NOTIFIER, &subjects::notifier_disabled(channel)).await?;
        found.map(|stored| read("a disabled channel", &stored.payload)).transpose()
    }

    /// All channels that are sent nothing any more, oldest first: some hundred at most.
    pub async fn all_disabled(&self) -> Result<Vec<DisabledChannel>, BusError> {
        let query = Query { seq: 1, next_by_subj: subjects::NOTIFIER_DISABLED, batch: 500, max_bytes: MESSAGE_BYTES };
        let (found, _) = self.inner.read(streams::NOTIFIER, &query).await?;
        found.iter().map(|stored| read("a disabled channel", &stored.payload)).collect()
    }

    /// Sends a channel nothing any more, until it is enabled.
    pub async fn disable(&self, disabled: &DisabledChannel) -> Result<(), BusError> {
        let what = "a disabled channel";
        let subject = subjects::notifier_disabled(&disabled.channel);
        self.inner.publish_surely(what, &subject, HeaderMap::new(), &write(what, disabled)?).await.map(|_| ())
    }

    /// Sends to a channel again; says whether it was disabled.
    pub async fn enable(&self, channel: &str) -> Result<bool, BusError> {
        let was = self.disabled(channel).await?.is_some();
        if was {
            self.purge(streams::NOTIFIER, subjects::notifier_disabled(channel)).await?;
        }
        Ok(was)
    }
}
