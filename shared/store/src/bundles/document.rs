//! The documents of the catalogue.

use domain::{BundleRef, Time};
use flow::bundle::Manifest;
use serde::{Deserialize, Serialize};

/// How a bundle came to be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Found in the flows directory; goes when its file goes.
    Directory,
    /// Uploaded.
    Upload,
    /// Shipped with the product.
    Builtin,
}

/// An installed bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    /// Its id and version.
    pub reference: BundleRef,
    /// Hash of its file, lower-case hexadecimal; the file's name in the blob store.
    pub sha256: String,
    /// Size of its file in bytes.
    pub size: u64,
    /// When it was installed.
    pub installed_at: Time,
    /// How.
    pub origin: Origin,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// A mark that an entrypoint (or, with `*`, a whole bundle) is not to be started any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deprecation {
    /// The bundle's id, all versions.
    pub bundle_id: String,
    /// The entrypoint, or `*`.
    pub flow_id: String,
    /// Since when.
    pub deprecated_at: Time,
    /// Why.
    pub reason: Option<String>,
}

impl Deprecation {
    pub(super) fn key(bundle_id: &str, flow_id: &str) -> String {
        format!("{bundle_id}:{flow_id}")
    }
}
