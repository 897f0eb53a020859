//! What a proxy says of the backends and models that are in force there.

use super::ModelSpec;
use serde::{Deserialize, Serialize};

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A backend.
    Backend,
    /// A model.
    Model,
}

/// A stored entry that is not in force at a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Why.
    pub because: String,
}

/// A backend that is in force at a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its URL.
    pub base_url: String,
    /// Whether it was stored over the API; else the proxy's own settings name it.
    pub stored: bool,
    /// Whether it answered the last look; none before the first.
    pub healthy: Option<bool>,
    /// Why it is not well.
    pub reason: Option<String>,
}

/// One proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyReport {
    /// Which.
    pub proxy: String,
    /// The revision of the table that is in force there.
    pub revision: u64,
    /// Backends in force.
    pub backends: Vec<BackendReport>,
    /// Models with an entry in the proxy's own settings, and what is said there.
    pub own_models: Vec<(String, ModelSpec)>,
    /// Stored entries that are not in force.
    pub passed_over: Vec<PassedOver>,
}

impl ProxyReport {
    /// Why a stored entry is not in force there, if so.
    pub fn passed_over(&self, kind: Kind, name: &str) -> Option<&str> {
        let found = self.passed_over.iter().find(|one| one.kind == kind && one.name == name);
        found.map(|one| one.because.as_str())
    }
}
