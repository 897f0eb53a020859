//! Why a job waits, with numbers.

use crate::{JobId, NodeId, ServiceName, ServiceType};
use domain::Time;
use serde::{Deserialize, Serialize};

mod text;

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which.
    pub job: JobId,
    /// From 1, among the queued jobs that compete with it for the same services; none while it is paused.
    pub position: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// When it may start, once runtimes are known.
    pub estimate: Option<Estimate>,
}

/// How long a job may still wait: nine in ten should lie between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// At least, if jobs are short.
    pub low_ms: u64,
    /// At most, if jobs are long.
    pub high_ms: u64,
}

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Reason {
    /// Nobody does such jobs.
    NoService {
        /// The type.
        service_type: ServiceType,
        /// The one service that the job wants.
        pinned: Option<ServiceName>,
        /// Services that would do but are disabled.
        disabled: Vec<ServiceName>,
    },
    /// No GPU host is connected.
    NoNode,
    /// It failed and is tried again later.
    BackingOff {
        /// When.
        until: Time,
        /// Attempts that failed.
        failures: u32,
        /// Of how many that may.
        max_attempts: u32,
    },
    /// It made way for another.
    PausedFor {
        /// Which; none when a person asked.
        job: Option<JobId>,
    },
    /// All slots are taken.
    SlotsBusy {
        /// How many there are.
        slots: usize,
        /// By whom, the first sixteen.
        holders: Vec<SlotHolder>,
    },
    /// Its service is starting.
    Starting {
        /// Which.
        service: ServiceName,
        /// For how long.
        for_ms: u64,
        /// How long that usually takes.
        typical_ms: u64,
    },
    /// Its service runs but does not answer its health check.
    Unhealthy {
        /// Which.
        service: ServiceName,
        /// For how long.
        for_ms: u64,
    },
    /// Its service is stopping and may be started again after.
    Stopping {
        /// Which.
        service: ServiceName,
        /// Jobs that it still does.
        jobs: usize,
    },
    /// Its service could not be started and is tried again later.
    StartFailed {
        /// Which.
        service: ServiceName,
        /// How often in a row.
        failures: u32,
        /// When it is tried again.
        retry_at: Time,
        /// Why.
        error: String,
    },
    /// The node of its service is silent.
    NodeLost {
        /// Which service.
        service: ServiceName,
        /// Which node.
        node: Option<NodeId>,
    },
    /// No GPU that is known could ever do it, but those of a node that may run it were never read.
    GpusUnread {
        /// The service.
        service: ServiceName,
        /// The node.
        node: NodeId,
    },
    /// No GPU has room for its service.
    NoRoom {
        /// The service.
        service: ServiceName,
        /// What it needs on each GPU.
        need_mb: u64,
        /// On how many GPUs of one node.
        gpus: u16,
        /// The GPU that is closest to having it.
        device: Option<crate::GpuId>,
        /// What can be used of it.
        capacity_mb: u64,
        /// What is free of it.
        free_mb: u64,
        /// What other programs hold of it.
        foreign_mb: u64,
        /// Who holds it.
        holders: Vec<RoomHolder>,
        /// What would free it.
        frees: Frees,
    },
}

impl Reason {
    /// Whether waiting is of no use as things are: no GPU host that is connected could ever do it.
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::NoNode | Self::NoService { .. } | Self::NoRoom { frees: Frees::Nothing, .. } => true,
            Self::GpusUnread { .. }
            | Self::BackingOff { .. }
            | Self::PausedFor { .. }
            | Self::SlotsBusy { .. }
            | Self::Starting { .. }
            | Self::Unhealthy { .. }
            | Self::Stopping { .. }
            | Self::StartFailed { .. }
            | Self::NodeLost { .. }
            | Self::NoRoom { .. } => false,
        }
    }
}

/// A job that holds a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotHolder {
    /// Which.
    pub job: JobId,
    /// Where.
    pub service: ServiceName,
    /// Its priority.
    pub priority: i32,
    /// For how long.
    pub for_ms: u64,
    /// Whether it has been told to let go.
    pub interrupted: bool,
}

/// A service that holds memory of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHolder {
    /// Which.
    pub service: ServiceName,
    /// How much.
    pub mb: u64,
    /// What it is doing.
    pub condition: Condition,
    /// The jobs it does.
    pub jobs: usize,
}

/// What a service that holds memory is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nothing.
    Idle,
    /// Jobs.
    Busy,
    /// It starts.
    Starting,
    /// It finishes its jobs and stops.
    Draining,
    /// It stops.
    Stopping,
}

/// What would free the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Frees {
    /// It is being freed: services stop.
    Release {
        /// Which.
        services: Vec<ServiceName>,
    },
    /// There is room once the measured memory has stopped moving.
    Quiet,
    /// Services finish their jobs.
    JobsEnd {
        /// Which.
        services: Vec<ServiceName>,
        /// The earliest moment at which one of them may have to make room although it has more to do.
        or_from: Option<Time>,
    },
    /// Only other programs, or services that a person started, could free it.
    Others,
    /// There is none to be had on the nodes that are connected now.
    Nothing,
}
