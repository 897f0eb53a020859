//! Bytes by name in the broker's object store: bundle files, large values, large states.

use crate::{Bus, BusError, Inner, streams};
use async_nats::jetstream::object_store::{GetErrorKind, ObjectMetadata, ObjectStore};
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;

/// The blob store.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
    store: Arc<OnceCell<ObjectStore>>,
}

impl Bus {
    /// The blob store.
    pub fn blobs(&self) -> Blobs {
        Blobs { inner: self.inner.clone(), store: Arc::default() }
    }
}

impl Blobs {
    async fn store(&self) -> Result<&ObjectStore, BusError> {
        self.store
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

    /// The bytes of a name.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, BusError> {
        let what = "reading a blob";
        let mut object = match self.store().await?.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BusError::unavailable(what, error)),
        };
        let mut bytes = Vec::with_capacity(object.info().size);
        object.read_to_end(&mut bytes).await.map_err(|error| BusError::unavailable(what, error))?;
        Ok(Some(bytes.into()))
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
