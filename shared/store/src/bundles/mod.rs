//! Installed bundles: kept by hash, named in the catalogue, watched by every process.

mod cache;
mod document;
mod install;
mod registry;

pub use cache::Loaded;
pub use document::{Deprecation, Installed, Origin};
pub use install::InstallError;
pub use registry::Snapshot;

use bus::{Blobs, Bus, Catalog};
use cache::Cache;
use domain::Plane;
use std::sync::Arc;
use tokio::sync::watch;

/// The bundles of one plane. Cheap to clone.
#[derive(Clone)]
pub struct Bundles {
    catalog: Catalog,
    blobs: Blobs,
    current: watch::Sender<Arc<Snapshot>>,
    cache: Arc<Cache>,
}

impl Bundles {
    /// The bundles of a plane. Nothing is known before [`Bundles::keep_watching`] runs.
    pub fn new(bus: &Bus, plane: &Plane) -> Self {
        Self {
            catalog: bus.catalog(plane),
            blobs: bus.blobs(),
            current: watch::Sender::new(Arc::new(Snapshot::default())),
            cache: Arc::default(),
        }
    }

    /// What is installed now, as far as this process has heard.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.borrow().clone()
    }
}
