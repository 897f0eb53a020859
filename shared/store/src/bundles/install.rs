//! Installing, removing and marking bundles.

use super::cache::{blob_name, read};
use super::registry::{BUNDLE, DEPRECATION};
use super::{Bundles, Deprecation, Installed, Origin};
use bus::BusError;
use domain::{BundleRef, Time};
use flow::{BundleError, CompileError};
use serde::Serialize;
use std::sync::Arc;

/// Why a bundle could not be installed or loaded.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It is there already.
    #[error("Bundle already installed: {0}.flow")]
    Exists(BundleRef),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] BundleError),
    /// One of its flows does not compile.
    #[error(transparent)]
    DoesNotCompile(#[from] CompileError),
    /// The catalogue names it but its bytes are gone.
    #[error("the bytes of bundle {0} are not in the blob store; install it again")]
    Lost(String),
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Bundles {
    /// Installs a bundle that can be read and compiled. With `overwrite` the same version is replaced; runs that began
    /// with the old bytes go on with them.
    pub async fn install(
        &self,
        bytes: &[u8],
        origin: Origin,
        overwrite: bool,
        now: Time,
    ) -> Result<Arc<Installed>, InstallError> {
        let loaded = read(bytes)?;
        let reference = loaded.bundle.reference();
        if !overwrite && self.contains(&reference) {
            return Err(InstallError::Exists(reference));
        }
        let installed = Installed {
            sha256: loaded.bundle.sha256.clone(),
            size: bytes.len() as u64,
            installed_at: now,
            origin,
            manifest: loaded.bundle.manifest.clone(),
            reference,
        };
        self.blobs.put_once(&blob_name(&installed.sha256), bytes).await?;
        self.cache.put(&installed.sha256, Arc::new(loaded));
        if overwrite {
            self.write(BUNDLE, &installed.reference.to_string(), &installed).await?;
        } else {
            self.create(&installed).await?;
        }
        Ok(Arc::new(installed))
    }

    /// Removes a bundle from the catalogue. Its bytes stay: runs that began with it go on.
    pub async fn remove(&self, reference: &BundleRef) -> Result<(), InstallError> {
        self.catalog.remove(BUNDLE, &reference.to_string()).await?;
        let gone = |snapshot: &Arc<super::Snapshot>| snapshot.bundle(&reference.id, &reference.version).is_none();
        let mut current = self.current.subscribe();
        let waited = tokio::time::timeout(std::time::Duration::from_secs(5), current.wait_for(gone)).await;
        match waited {
            Ok(_) => Ok(()),
            Err(_) => Err(BusError::Unknown { what: "removing a bundle".to_owned() }.into()),
        }
    }

    /// Marks an entrypoint, or with `*` a whole bundle, as not to be started.
    pub async fn deprecate(&self, mark: &Deprecation) -> Result<(), InstallError> {
        self.write(DEPRECATION, &Deprecation::key(&mark.bundle_id, &mark.flow_id), mark).await
    }

    /// Takes a mark back; returns whether there was one.
    pub async fn undeprecate(&self, bundle_id: &str, flow_id: &str) -> Result<bool, InstallError> {
        let key = Deprecation::key(bundle_id, flow_id);
        let there = self.catalog.get(DEPRECATION, &key).await?.is_some();
        if there {
            self.catalog.remove(DEPRECATION, &key).await?;
            let mut current = self.current.subscribe();
            let gone =
                current.wait_for(|now| now.deprecation(bundle_id, flow_id).is_none_or(|mark| mark.flow_id != flow_id));
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), gone).await;
        }
        Ok(there)
    }

    /// The catalogue decides, not what this process has heard: somebody else may be installing the same version.
    async fn create(&self, installed: &Installed) -> Result<(), InstallError> {
        let key = installed.reference.to_string();
        match self.catalog.create(BUNDLE, &key, bytes_of(installed)?).await? {
            Some(revision) => Ok(self.seen(revision).await?),
            None => Err(InstallError::Exists(installed.reference.clone())),
        }
    }

    async fn write(&self, group: &str, key: &str, document: &impl Serialize) -> Result<(), InstallError> {
        let revision = self.catalog.put(group, key, bytes_of(document)?).await?;
        self.seen(revision).await?;
        Ok(())
    }
}

fn bytes_of(document: &impl Serialize) -> Result<bytes::Bytes, BusError> {
    let corrupt =
        |error: serde_json::Error| BusError::Corrupt { what: "a catalogue entry".to_owned(), cause: error.to_string() };
    serde_json::to_vec(document).map(Into::into).map_err(corrupt)
}
