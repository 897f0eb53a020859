//! Reads `.flow` bundles: a zip with a manifest and one document per flow.

mod archive;
mod error;
mod manifest;
mod resolve;
mod schema;
mod version;

pub use error::BundleError;
pub use manifest::{Entrypoint, Manifest};
pub use resolve::{ResolveError, StartRequest, Target, resolve_flow, split_reference, start_target};
pub use schema::{InputPin, input_schema, inputs, node_index};
pub use version::{is_draft, is_safe_id, is_safe_version, latest};

use crate::compile::namespace;
use domain::{BundleRef, Object, WorkflowId};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A bundle that was read and found well-formed. Its flows are not compiled yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    flows: Object,
}

impl Bundle {
    /// Reads the bytes of a `.flow` file. Size, unpacked size, number of files, paths and nesting are all checked.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let mut archive = archive::Archive::open(bytes)?;
        let manifest = Manifest::read(&archive.json("manifest.json")?)?;
        if !is_safe_id(&manifest.bundle_id) {
            return Err(BundleError::UnsafeId { id: manifest.bundle_id });
        }
        if !is_safe_version(&manifest.bundle_version) {
            return Err(BundleError::UnsafeVersion { version: manifest.bundle_version });
        }
        let mut flows = Object::new();
        for (id, path) in &manifest.flows {
            flows.insert(id.clone(), archive.json(path)?);
        }
        if let Some(missing) = manifest.entrypoints.iter().find(|entry| !flows.contains_key(&entry.flow_id)) {
            return Err(BundleError::Manifest(format!("entrypoint '{}' is not among the flows", missing.flow_id)));
        }
        Ok(Self { manifest, sha256: sha256(bytes), flows })
    }

    /// Its id and version.
    pub fn reference(&self) -> BundleRef {
        BundleRef::new(&self.manifest.bundle_id, &self.manifest.bundle_version)
    }

    /// The documents by flow id, in the manifest's order, as their author wrote them.
    pub fn flows(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.flows.iter().map(|(id, flow)| (id.as_str(), flow))
    }

    /// One document.
    pub fn flow(&self, id: &str) -> Option<&Value> {
        self.flows.get(id)
    }

    /// A document with its own id and the ids of its subflows made global, as it is compiled and shown.
    pub fn namespaced(&self, id: &str, flow: &Value) -> Value {
        let reference = self.reference();
        let local = |target: &str| -> Option<WorkflowId> {
            self.flows.contains_key(target).then(|| reference.workflow(target))
        };
        namespace(flow, &reference.workflow(id), local)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
