//! How a container is to be made.

use crate::digest_hex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// All that is needed to make a service's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The image, as `name[:tag|@digest]`.
    pub image: String,
    /// The program's arguments; empty takes the image's own.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, EnvText>,
    /// Directories.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Ports of the host that lead into it. Without effect on the `host` network.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// The network; none takes the engine's default.
    #[serde(default)]
    pub network: Option<String>,
    /// Size of `/dev/shm`; none takes the engine's default.
    #[serde(default)]
    pub shared_memory_mb: Option<u64>,
    /// The GPUs.
    #[serde(default)]
    pub gpus: GpuRequest,
    /// When the image is fetched.
    #[serde(default)]
    pub pull: PullPolicy,
}

impl Definition {
    /// Names what the container would be: two definitions with one digest make the same container.
    pub fn digest(&self) -> String {
        // When an image is fetched is no property of the container.
        let made = Self { pull: PullPolicy::default(), ..self.clone() };
        let mut digest = digest_hex(&[serde_json::to_string(&made).unwrap_or_default().as_bytes()]);
        digest.truncate(32);
        digest
    }
}

/// The value of an environment variable; may be a key, so it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnvText(String);

impl EnvText {
    /// The value, for the engine alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EnvText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for EnvText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A directory inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// A volume's name, or an absolute path of the host.
    pub source: String,
    /// An absolute path in the container.
    pub target: String,
    /// Whether it can only be read.
    #[serde(default)]
    pub read_only: bool,
}

/// A port of the host that leads into the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// In the container, TCP.
    pub container: u16,
    /// On the host.
    pub host: u16,
    /// The host's address it is open on; none means loopback only.
    #[serde(default)]
    pub address: Option<String>,
}

/// The GPUs that a container may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gpus", rename_all = "snake_case")]
pub enum GpuRequest {
    /// None.
    #[default]
    None,
    /// All of the node.
    All,
    /// These, by uuid.
    These {
        /// The uuids.
        ids: Vec<String>,
    },
}

/// When an image is fetched from its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When the node does not have it.
    #[default]
    Missing,
    /// Each time the container is made.
    Always,
    /// Never: the node must have it.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_follows_what_the_container_is_and_values_of_variables_are_not_printed() {
        let plain: Definition = serde_json::from_str(r#"{"image":"a:1","env":{"KEY":"secret"}}"#).unwrap();
        let pulled = Definition { pull: PullPolicy::Always, ..plain.clone() };
        let other = Definition { gpus: GpuRequest::All, ..plain.clone() };
        assert_eq!(plain.digest(), pulled.digest());
        assert_ne!(plain.digest(), other.digest());
        assert!(!format!("{plain:?}").contains("secret"));
    }
}
