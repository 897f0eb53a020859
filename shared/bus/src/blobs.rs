//! Bytes by name in the broker's object store: bundle files, large values, large states.

use crate::{Bus, BusError, Inner, streams};
use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectMetadata, ObjectStore};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// The next piece of a blob comes within this time, or not at all.
const PIECE_WITHIN: Duration = Duration::from_secs(5);

/// The blob store.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

impl Bus {
    /// The blob store.
    pub fn blobs(&self) -> Blobs {
        Blobs { inner: self.inner.clone() }
    }
}

impl Blobs {
    async fn store(&self) -> Result<&ObjectStore, BusError> {
        self.inner
            .blobs
            .get_or_try_init(|| async {
                let opened = self.inner.js.get_object_store(streams::BLOBS).await;
                opened.map_err(|error| BusError::unavailable("opening the blob store", error))
            })
            .await
    }

    /// Stores bytes under a name; the same name again replaces them.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), BusError> {
        let metadata = ObjectMetadata { name: name.to_owned(), ..Default::default() };
        let mut reader = bytes;
        self.store()
            .await?
            .put(metadata, &mut reader)
            .await
            .map(|_| ())
            .map_err(|error| BusError::unavailable("storing a blob", error))
    }

    /// Stores bytes under a name that only these bytes have. What is there already is left alone, so that nobody who
    /// reads it is disturbed.
    pub async fn put_once(&self, name: &str, bytes: &[u8]) -> Result<(), BusError> {
        match self.store().await?.info(name).await {
            Ok(info) if !info.deleted && info.size == bytes.len() => Ok(()),
            Err(error) if error.kind() != InfoErrorKind::NotFound => {
                Err(BusError::unavailable("looking for a blob", error))
            }
            Ok(_) | Err(_) => self.put(name, bytes).await,
        }
    }

    /// The bytes of a name.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, BusError> {
        let what = "reading a blob";
        let mut object = match self.store().await?.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BusError::unavailable(what, error)),
        };
        let mut bytes = Vec::with_capacity(object.info().size);
        loop {
            // A blob that is removed or replaced while it is read never comes to its end.
            let read = tokio::time::timeout(PIECE_WITHIN, object.read_buf(&mut bytes)).await;
            match read.map_err(|_| BusError::Unknown { what: what.to_owned() })? {
                Ok(0) => return Ok(Some(bytes.into())),
                Ok(_) => {}
                Err(error) => return Err(BusError::unavailable(what, error)),
            }
        }
    }

    /// Forgets a name. Nothing there is fine.
    pub async fn remove(&self, name: &str) -> Result<(), BusError> {
        use async_nats::jetstream::object_store::DeleteErrorKind;
        match self.store().await?.delete(name).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(error) => Err(BusError::unavailable("removing a blob", error)),
        }
    }
}
