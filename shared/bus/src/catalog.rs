//! Small documents that every process watches: installed bundles, deprecations, generated workflows.

use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation};
use bytes::Bytes;
use domain::Plane;
use futures::StreamExt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The catalogue of one plane. Keys are free texts in a named group; values are documents.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
    plane: Plane,
    store: Arc<OnceCell<kv::Store>>,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Its group, such as `bundle`.
    pub group: String,
    /// The hash of its key; the value says the key itself.
    pub token: String,
    /// The document; none when it was removed.
    pub value: Option<Bytes>,
    /// Rises with every change of the catalogue.
    pub revision: u64,
}

/// What a watcher hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogUpdate {
    /// A document was written or removed.
    Changed(CatalogEntry),
    /// All that was there when the watch began has been told.
    CaughtUp,
}

impl Bus {
    /// The catalogue of a plane.
    pub fn catalog(&self, plane: &Plane) -> Catalog {
        Catalog { inner: self.inner.clone(), plane: plane.clone(), store: Arc::default() }
    }
}

impl Catalog {
    async fn store(&self) -> Result<&kv::Store, BusError> {
        self.store
            .get_or_try_init(|| async {
                let opened = self.inner.js.get_key_value(streams::CATALOG).await;
                opened.map_err(|error| BusError::unavailable("opening the catalogue", error))
            })
            .await
    }

    fn key(&self, group: &str, key: &str) -> String {
        format!("{}.{group}.{}", self.plane, subjects::short(key))
    }

    /// The token that a key has in updates.
    pub fn token(key: &str) -> String {
        subjects::short(key)
    }

    /// Writes a document; returns the catalogue's revision.
    pub async fn put(&self, group: &str, key: &str, value: Bytes) -> Result<u64, BusError> {
        let stored = self.store().await?.put(self.key(group, key), value).await;
        stored.map_err(|error| BusError::unavailable("writing the catalogue", error))
    }

    /// Writes a document if there is none; returns the catalogue's revision, or nothing when there was one.
    pub async fn create(&self, group: &str, key: &str, value: Bytes) -> Result<Option<u64>, BusError> {
        match self.store().await?.create(self.key(group, key), value).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(BusError::unavailable("writing the catalogue", error)),
        }
    }

    /// The document of a key.
    pub async fn get(&self, group: &str, key: &str) -> Result<Option<Bytes>, BusError> {
        let found = self.store().await?.get(self.key(group, key)).await;
        found.map_err(|error| BusError::unavailable("reading the catalogue", error))
    }

    /// Removes a document.
    pub async fn remove(&self, group: &str, key: &str) -> Result<(), BusError> {
        let removed = self.store().await?.delete(self.key(group, key)).await;
        removed.map_err(|error| BusError::unavailable("writing the catalogue", error))
    }

    /// Tells every document, then [`CatalogUpdate::CaughtUp`], then every change, to `hear`, until the watch breaks.
    /// The caller begins again then.
    pub async fn watch(&self, mut hear: impl FnMut(CatalogUpdate)) -> Result<(), BusError> {
        let what = "watching the catalogue";
        let store = self.store().await?;
        let filter = format!("{}.>", self.plane);
        let mut connects = self.inner.connects.clone();
        connects.mark_unchanged();
        let empty = self.is_empty(store, &filter).await?;
        let mut changes =
            store.watch_with_history(&filter).await.map_err(|error| BusError::unavailable(what, error))?;
        if empty {
            hear(CatalogUpdate::CaughtUp);
        }
        let mut caught_up = empty;
        loop {
            let next = tokio::select! {
                changed = connects.changed() => {
                    return changed.map_err(|error| BusError::unavailable(what, error));
                }
                next = changes.next() => next,
            };
            let Some(entry) = next else { return Ok(()) };
            let entry = entry.map_err(|error| BusError::unavailable(what, error))?;
            let last_of_history = entry.delta == 0;
            if let Some(change) = self.parse(entry) {
                hear(CatalogUpdate::Changed(change));
            }
            if last_of_history && !caught_up {
                caught_up = true;
                hear(CatalogUpdate::CaughtUp);
            }
        }
    }

    async fn is_empty(&self, store: &kv::Store, filter: &str) -> Result<bool, BusError> {
        let found = self.inner.last_matching(&store.stream_name, &format!("$KV.{}.{filter}", streams::CATALOG)).await?;
        Ok(found.is_none())
    }

    fn parse(&self, entry: kv::Entry) -> Option<CatalogEntry> {
        let rest = entry.key.strip_prefix(&format!("{}.", self.plane))?;
        let (group, token) = rest.split_once('.')?;
        let value = match entry.operation {
            Operation::Put => Some(entry.value),
            Operation::Delete | Operation::Purge => None,
        };
        Some(CatalogEntry { group: group.to_owned(), token: token.to_owned(), value, revision: entry.revision })
    }
}
