//! Reading GPUs: one trait, and a file for each way to do it.

mod cgroup;
mod choose;
mod csv;
mod describe;
mod nvml;
mod recorded;
mod smi;
mod system;

pub(crate) use choose::{Chooser, Look};
pub(crate) use describe::{Describer, Reserves};

pub use cgroup::container_id;
pub use choose::{Choice, open};
pub use nvml::Nvml;
pub use recorded::{Frame, RecordError, Recorded, Recorder, read_frames, simulated};
pub use smi::{NvidiaSmi, parse_apps, parse_gpus};
pub use system::System;

use async_trait::async_trait;
use domain::nodes::{Owner, ProcessKind, Reading, SourceKind};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A driver that hangs is given up after this long.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A way to read GPUs.
#[async_trait]
pub trait Source: Send + Sync {
    /// Which way.
    fn kind(&self) -> SourceKind;

    /// How long to leave between two readings, because of what one costs.
    fn least_interval(&self) -> Duration;

    /// Reads all GPUs now. Takes [`SourceError::Hung`] at most.
    async fn read(&mut self) -> Result<Sample, SourceError>;
}

/// One reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// All GPUs.
    pub devices: Vec<RawDevice>,
    /// The memory of the host that they are in; none if that is this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
}

/// Why GPUs could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The library or program is not on this host.
    #[error("{what} is not installed: {cause}")]
    NotInstalled {
        /// The library or program.
        what: &'static str,
        /// The system's words.
        cause: String,
    },
    /// It is there and says no.
    #[error("{what} failed: {cause}")]
    Failed {
        /// The library or program.
        what: &'static str,
        /// Its words.
        cause: String,
    },
    /// It does not answer.
    #[error("{what} did not answer within {} seconds; the driver may hang", ANSWER_WITHIN.as_secs())]
    Hung {
        /// The library or program.
        what: &'static str,
    },
}

/// A GPU as its source gives it, before anything is concluded from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawDevice {
    /// The uuid.
    pub id: String,
    /// The number on this host.
    pub index: u32,
    /// The product.
    pub name: String,
    /// All memory, in MiB.
    pub total_mb: Reading<u64>,
    /// Used memory, in MiB.
    pub used_mb: Reading<u64>,
    /// Free memory, in MiB.
    pub free_mb: Reading<u64>,
    /// Share of the time in which it computed.
    pub utilisation_percent: Reading<u32>,
    /// Its temperature.
    pub temperature_c: Reading<u32>,
    /// The power it draws.
    pub power_w: Reading<f64>,
    /// Who uses it.
    pub processes: Reading<Vec<RawProcess>>,
}

/// A process as its source gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawProcess {
    /// Its id on the host.
    pub pid: u32,
    /// Its program, if the source says so.
    pub name: Option<String>,
    /// What it does.
    pub kind: ProcessKind,
    /// GPU memory that it holds, in MiB.
    pub memory_mb: Reading<u64>,
    /// To whom it belongs, in a recording: process ids of another host mean nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Reading<Owner>>,
}
