//! GPUs as their node reports them.

use super::Reading;
use serde::{Deserialize, Serialize};

/// What is known of a node's GPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "devices_are", rename_all = "snake_case")]
pub enum Devices {
    /// They were read.
    Seen {
        /// By what.
        source: SourceKind,
        /// All of them, in the order of their index.
        devices: Vec<DeviceReport>,
    },
    /// There is none, as far as can be told.
    Absent {
        /// How that is known.
        because: String,
    },
    /// There should be some, but they cannot be read now.
    Failing {
        /// By what they were to be read.
        source: SourceKind,
        /// What went wrong.
        because: String,
    },
}

impl Devices {
    /// The GPUs that were read.
    pub fn seen(&self) -> &[DeviceReport] {
        match self {
            Self::Seen { devices, .. } => devices,
            Self::Absent { .. } | Self::Failing { .. } => &[],
        }
    }
}

/// By what GPUs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// NVIDIA's management library.
    Nvml,
    /// The `nvidia-smi` program.
    NvidiaSmi,
    /// A recording is played back: nothing of this host.
    Recorded,
    /// Nothing is read.
    None,
}

impl SourceKind {
    /// The word for it in settings, metrics and texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nvml => "nvml",
            Self::NvidiaSmi => "nvidia-smi",
            Self::Recorded => "recorded",
            Self::None => "none",
        }
    }
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The uuid that its driver gives it: `GPU-…`.
    pub id: String,
    /// Its number on the node; may change over a restart.
    pub index: u32,
    /// Its product name.
    pub name: String,
    /// Whether it shares the system's memory; only for products that are known to.
    pub unified: bool,
    /// Its memory.
    pub memory: Memory,
    /// What is to be kept free on it.
    pub reserve_mb: u64,
    /// Share of the time in which it computed.
    pub utilisation_percent: Reading<u32>,
    /// Its temperature.
    pub temperature_c: Reading<u32>,
    /// The power that it draws.
    pub power_w: Reading<f64>,
    /// The processes that use it.
    pub processes: Reading<Vec<DeviceProcess>>,
}

impl DeviceReport {
    /// What may still be taken: free memory less the reserve. None if it is not known.
    pub fn admissible_mb(&self) -> Option<u64> {
        self.memory.free_mb.value().map(|free| free.saturating_sub(self.reserve_mb))
    }
}

/// A GPU's memory, in MiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// All of it.
    pub total_mb: Reading<u64>,
    /// Used by anybody.
    pub used_mb: Reading<u64>,
    /// Not used.
    pub free_mb: Reading<u64>,
}

/// A process that uses a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProcess {
    /// Its id on the host.
    pub pid: u32,
    /// Its program.
    pub name: Reading<String>,
    /// What it does there.
    pub kind: ProcessKind,
    /// The GPU memory that it holds.
    pub memory_mb: Reading<u64>,
    /// To whom it belongs.
    pub owner: Reading<Owner>,
}

/// What a process does on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessKind {
    /// It computes.
    Compute,
    /// It draws.
    Graphics,
    /// It does both.
    Both,
}

/// To whom a process belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Owner {
    /// A container, by the engine's full id.
    Container {
        /// The id.
        id: String,
        /// Its name, if the engine knows it.
        name: Option<String>,
    },
    /// The host itself.
    Host,
}
