//! Nodes and their GPUs, with the arithmetic of admission.

use crate::{GpuId, NodeId, ServiceName};
use domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A GPU host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its GPUs, in the order it reports them.
    pub devices: Vec<GpuId>,
    /// It has GPUs that were never read, so nobody knows what would fit there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
    /// Since when it has been silent; none while it is heard.
    pub lost_since: Option<Time>,
}

/// A GPU as its node reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Which.
    pub id: GpuId,
    /// All of its memory.
    pub total_mb: u64,
    /// What is kept free on it.
    pub reserve_mb: u64,
}

/// A GPU: what is set aside on it, and what is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its node.
    pub node: NodeId,
    /// All of its memory.
    pub total_mb: u64,
    /// What is kept free on it.
    pub reserve_mb: u64,
    /// What is set aside for whom.
    pub holders: BTreeMap<ServiceName, Hold>,
    /// The last measurement; none if memory cannot be measured.
    pub measured: Option<Measure>,
    /// Since when its memory has been moving, until it is measured quiet.
    pub settling_since: Option<Time>,
}

/// A container's part of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Set aside.
    pub reserved_mb: u64,
    /// Measured, where memory can be attributed.
    pub measured_mb: Option<u64>,
}

/// One measurement of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Used by anybody.
    pub used_mb: u64,
    /// When.
    pub at: Time,
}

impl Device {
    /// What can be set aside on it at most.
    pub fn capacity_mb(&self) -> u64 {
        self.total_mb.saturating_sub(self.reserve_mb)
    }

    /// What is set aside.
    pub fn reserved_mb(&self) -> u64 {
        self.holders.values().map(|hold| hold.reserved_mb).sum()
    }

    /// Set aside, or measured where that is more.
    pub fn committed_mb(&self) -> u64 {
        self.holders.values().map(|hold| hold.reserved_mb.max(hold.measured_mb.unwrap_or(0))).sum()
    }

    /// Measured memory that no known container accounts for.
    pub fn foreign_mb(&self) -> u64 {
        let known: u64 = self.holders.values().map(|hold| hold.measured_mb.unwrap_or(hold.reserved_mb)).sum();
        self.measured.as_ref().map_or(0, |measure| measure.used_mb.saturating_sub(known))
    }

    /// What may still be set aside, by the ledger and by measurement.
    pub fn free_mb(&self) -> u64 {
        self.capacity_mb().saturating_sub(self.committed_mb()).saturating_sub(self.foreign_mb())
    }
}
