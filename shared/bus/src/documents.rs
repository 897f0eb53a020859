//! Named documents in a bucket, replaced only by whoever has read the last version of them.

use crate::publish::{EXPECTED_LAST, Published};
use crate::{BusError, Inner, subjects};
use async_nats::HeaderMap;
use async_nats::jetstream::kv::{self, Operation};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// One bucket of documents. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Documents {
    inner: Arc<Inner>,
    bucket: &'static str,
    what: &'static str,
    store: Arc<OnceCell<kv::Store>>,
}

/// A document as a watcher hears of it.
pub(crate) struct Document {
    pub(crate) token: String,
    pub(crate) value: Bytes,
    /// Whether everything that was there when the watch began has now been told.
    pub(crate) last_of_history: bool,
}

impl Documents {
    pub(crate) fn new(inner: &Arc<Inner>, bucket: &'static str, what: &'static str) -> Self {
        Self { inner: Arc::clone(inner), bucket, what, store: Arc::default() }
    }

    /// The token that a name has.
    pub(crate) fn token(name: &str) -> String {
        subjects::short(name)
    }

    fn subject(&self, name: &str) -> String {
        format!("$KV.{}.{}", self.bucket, Self::token(name))
    }

    /// The document of that name, and its revision.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<(Bytes, u64)>, BusError> {
        let stored = self.inner.last(&format!("KV_{}", self.bucket), &self.subject(name)).await?;
        Ok(stored.map(|stored| (stored.payload, stored.sequence)))
    }

    /// Writes it if its last revision is still that one (0: there is none); the new revision, or none when somebody was
    /// faster.
    pub(crate) async fn replace(&self, name: &str, value: Bytes, last: u64) -> Result<Option<u64>, BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, last.to_string().as_str());
        match self.inner.publish(self.what, self.subject(name), headers, value).await? {
            Published::Stored { sequence, .. } => Ok(Some(sequence)),
            Published::Fenced { .. } | Published::Busy => Ok(None),
        }
    }

    async fn store(&self) -> Result<&kv::Store, BusError> {
        let open = async || self.inner.js.get_key_value(self.bucket).await;
        self.store.get_or_try_init(open).await.map_err(|error| BusError::unavailable(self.what, error))
    }

    /// Tells every document, then every change, until the watch breaks, the connection comes up anew, or `hear` says
    /// that it has heard enough. The caller begins again then. An empty bucket tells nothing before its first document.
    pub(crate) async fn watch(&self, mut hear: impl FnMut(Document) -> bool) -> Result<(), BusError> {
        let unavailable = |error: &dyn ToString| BusError::unavailable(self.what, error.to_string());
        let mut connects = self.inner.connects.clone();
        connects.mark_unchanged();
        let store = self.store().await?;
        let mut changes = store.watch_with_history(">").await.map_err(|error| unavailable(&error))?;
        loop {
            let next = tokio::select! {
                changed = connects.changed() => return changed.map_err(|error| unavailable(&error)),
                next = changes.next() => next,
            };
            let Some(entry) = next else { return Ok(()) };
            let entry = entry.map_err(|error| unavailable(&error))?;
            let last_of_history = entry.delta == 0;
            let value = match entry.operation {
                Operation::Put => entry.value,
                Operation::Delete | Operation::Purge => Bytes::new(),
            };
            if !hear(Document { token: entry.key, value, last_of_history }) {
                return Ok(());
            }
        }
    }

    /// Whether there is no document at all.
    pub(crate) async fn is_empty(&self) -> Result<bool, BusError> {
        let last = self.inner.last_matching(&format!("KV_{}", self.bucket), &format!("$KV.{}.>", self.bucket)).await?;
        Ok(last.is_none())
    }
}
