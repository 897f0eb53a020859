//! What GPU hosts tell and what they are told: reports, orders and events of nodes.

mod container;
mod definition;
mod device;
mod event;
mod order;
mod reading;

pub use container::{ContainerName, ContainerReport, ContainerState, EngineReport, Health};
pub use definition::{Definition, EnvText, GpuRequest, Port, PullPolicy, Volume};
pub use device::{DeviceProcess, DeviceReport, Devices, Memory, Owner, ProcessKind, SourceKind};
pub use event::{Cause, ContainerEvent, NodeEvent, OperationEvent, Phase, What};
pub use order::{Failure, FailureKind, Operation, OperationId, Order, Outcome};
pub use reading::Reading;

use crate::{Time, is_token};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// One GPU host, which is one agent. A token of subjects, so it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NodeId(String);

/// A text that cannot name a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot name a node: use 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct NodeIdError(String);

impl NodeId {
    /// The longest name.
    pub const LONGEST: usize = 64;

    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, NodeIdError> {
        if is_token(text) && text.len() <= Self::LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            Err(NodeIdError(text.to_owned()))
        }
    }

    /// The nearest name to a host's: what is not allowed becomes `-`; none if nothing is left.
    pub fn from_host_name(host: &str) -> Option<Self> {
        let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let text: String = host.trim().chars().map(kept).take(Self::LONGEST).collect();
        Self::new(text.trim_matches('-')).ok()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Everything a node says of itself. Each one replaces the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Which.
    pub node: NodeId,
    /// The agent process that says it: a new one after each restart. Two at once under one node id are a mistake.
    pub instance: String,
    /// Rises by one with each report of an instance.
    pub number: u64,
    /// When it was made, by the node's clock.
    pub at: Time,
    /// The agent's version.
    pub version: String,
    /// Its GPUs.
    pub devices: Devices,
    /// Its container engine.
    pub engine: EngineReport,
    /// All memory of the host.
    pub system_total_mb: Reading<u64>,
    /// Memory of the host that can be used without swapping.
    pub system_available_mb: Reading<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_name_that_fits_into_a_subject() {
        let named = |host: &str| NodeId::from_host_name(host).map(|id| id.to_string());
        assert_eq!(named("gpu-1.rack.example\n"), Some("gpu-1-rack-example".to_owned()));
        assert_eq!(named(".."), None);
        assert_eq!(named(&"x".repeat(200)).map(|name| name.len()), Some(64));
        assert!(serde_json::from_str::<NodeId>("\"a.b\"").is_err());
    }
}
