//! Where a service's container stands.

use crate::{GpuId, JobId, NodeId, ServiceName};
use domain::Time;
use serde::{Deserialize, Serialize};

/// A service's container, as far as the cluster knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Where it stands.
    pub state: State,
    /// Counts starts over the whole cluster; what is reported of an older one is refused.
    pub generation: u64,
    /// Where it is; none while it is stopped.
    pub spot: Option<Spot>,
    /// Whether the scheduler started it. What a person started is neither evicted nor stopped when idle.
    pub owned: bool,
    /// Whether an attempt was given up on it that may still be at work inside, so it must stop before it serves again.
    pub tainted: bool,
    /// A person wants it up.
    pub asked: bool,
    /// Since when it has had no job, while it has none.
    pub idle_since: Option<Time>,
    /// Starts that failed one after another.
    pub failures: u32,
    /// When it may be started again.
    pub retry_at: Option<Time>,
    /// Why the last start failed.
    pub last_error: Option<String>,
}

impl Default for Container {
    fn default() -> Self {
        Self {
            state: State::Stopped,
            generation: 0,
            spot: None,
            owned: false,
            tainted: false,
            asked: false,
            idle_since: None,
            failures: 0,
            retry_at: None,
            last_error: None,
        }
    }
}

impl Container {
    /// Whether jobs may be sent to it.
    pub fn serves(&self) -> bool {
        !self.tainted && matches!(self.state, State::Ready { .. })
    }

    /// Whether it serves or will, without being started again.
    pub fn is_live(&self) -> bool {
        !self.tainted && matches!(self.state, State::Ready { .. } | State::Starting { .. } | State::Unhealthy { .. })
    }

    /// Whether its memory will come back without another decision.
    pub fn is_leaving(&self) -> bool {
        self.tainted || matches!(self.state, State::Draining { .. } | State::Stopping { .. })
    }

    /// Whether its memory is just being taken or given back.
    pub fn in_operation(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Stopping { .. })
    }

    /// Whether it is not there.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }
}

/// The states of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It holds nothing.
    Stopped,
    /// A start was ordered; its memory is counted from here on.
    Starting {
        /// Since when.
        since: Time,
    },
    /// It is healthy.
    Ready {
        /// Since when.
        since: Time,
    },
    /// It runs but does not answer its health check.
    Unhealthy {
        /// Since when.
        since: Time,
    },
    /// It finishes its jobs and takes no more.
    Draining {
        /// Since when.
        since: Time,
        /// Why.
        reason: StopReason,
    },
    /// A stop was ordered and is not confirmed.
    Stopping {
        /// Since when, counted anew each time it is ordered.
        since: Time,
        /// Why.
        reason: StopReason,
        /// How often it was ordered.
        sent: u32,
    },
    /// Its node is silent.
    Lost {
        /// Since when.
        since: Time,
    },
}

/// Why a container is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StopReason {
    /// It had nothing to do for its idle time.
    Idle,
    /// Another service needs its room.
    Evicted {
        /// Which.
        room_for: ServiceName,
    },
    /// A person asked.
    Asked,
    /// It did not become healthy in time.
    StartTimedOut,
    /// It stopped answering its health check.
    Unhealthy,
    /// An attempt that was given up may still be at work inside.
    Tainted,
    /// An interrupted job did not let go of its slot in time.
    HeldByInterrupted {
        /// Which.
        job: JobId,
    },
}

/// Where a container is and what was set aside for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The node.
    pub node: NodeId,
    /// The GPUs.
    pub devices: Vec<GpuId>,
    /// Memory on each of them.
    pub vram_mb: u64,
}
