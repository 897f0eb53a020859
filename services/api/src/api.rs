//! What every route works with.

use crate::config::ApiConfig;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Uploads read into memory at once.
const UPLOADS: usize = 4;

/// The parts of the surface, shared by all requests. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// The parts themselves.
pub struct Parts {
    /// Settings.
    pub config: ApiConfig,
    /// Places for uploads.
    pub uploads: Semaphore,
}

impl Api {
    /// The surface over these settings.
    pub fn new(config: ApiConfig) -> Self {
        Self(Arc::new(Parts {
            config,
            uploads: Semaphore::new(UPLOADS),
        }))
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
