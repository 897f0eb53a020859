//! Bundles read and compiled once per process.

use super::{Bundles, InstallError};
use flow::{Bundle, Library};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Compiled bundles kept in memory.
const MOST: usize = 128;

/// A bundle, ready to run.
pub struct Loaded {
    /// As read.
    pub bundle: Bundle,
    /// Its flows, compiled.
    pub library: Arc<Library>,
}

/// A clock that ticks with each use, and by hash: when it was last used.
type Shelf = (u64, HashMap<String, (u64, Arc<Loaded>)>);

#[derive(Default)]
pub(super) struct Cache {
    loaded: Mutex<Shelf>,
}

impl Cache {
    fn get(&self, sha256: &str) -> Option<Arc<Loaded>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.0 += 1;
        let now = loaded.0;
        loaded.1.get_mut(sha256).map(|(used, bundle)| {
            *used = now;
            bundle.clone()
        })
    }

    pub(super) fn put(&self, sha256: &str, bundle: Arc<Loaded>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.0 += 1;
        let now = loaded.0;
        loaded.1.insert(sha256.to_owned(), (now, bundle));
        if loaded.1.len() > MOST {
            let oldest = loaded.1.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| loaded.1.remove(&key));
        }
    }
}

impl Bundles {
    /// The bundle of a hash, read from the blob store at most once while it is in use.
    pub async fn load(&self, sha256: &str) -> Result<Arc<Loaded>, InstallError> {
        if let Some(loaded) = self.cache.get(sha256) {
            return Ok(loaded);
        }
        // Boxed, so that those who find it in the cache, as nearly all do, need no room for reading it.
        let bytes = Box::pin(self.blobs.get(&blob_name(sha256))).await?;
        let bytes = bytes.ok_or_else(|| InstallError::Lost(sha256.to_owned()))?;
        let loaded = Arc::new(read(&bytes)?);
        self.cache.put(sha256, loaded.clone());
        Ok(loaded)
    }
}

pub(super) fn blob_name(sha256: &str) -> String {
    format!("bundle/{sha256}")
}

pub(super) fn read(bytes: &[u8]) -> Result<Loaded, InstallError> {
    let bundle = Bundle::read(bytes)?;
    let library = Arc::new(Library::compile(&bundle)?);
    Ok(Loaded { bundle, library })
}
