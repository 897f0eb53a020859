//! What happened on a node, in order.

use super::{ContainerName, ContainerReport, NodeId, OperationId, Outcome};
use crate::Time;
use serde::{Deserialize, Serialize};

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// Where.
    pub node: NodeId,
    /// When, by the node's clock.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// An order was begun or ended.
    Operation(OperationEvent),
    /// A container changed, by an order, by a person or by itself.
    Container(ContainerEvent),
}

/// An order was begun or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// The order.
    pub id: OperationId,
    /// Its container.
    pub container: ContainerName,
    /// The start that it belongs to.
    pub generation: Option<u64>,
    /// What it was to do: `start`, `stop`, …
    pub verb: String,
    /// The highest generation that was ever ordered for the container, this order included.
    pub newest_generation: Option<u64>,
    /// The generation whose start the container still is, and the engine's time of that start.
    pub running_since: Option<(u64, String)>,
    /// How far it is.
    pub phase: Phase,
}

/// How far an order is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// It is about to be carried out; stored before anything is done.
    Begun {
        /// The engine's time of the container's last start then, by which a repeated restart is known.
        started_at: Option<String>,
    },
    /// It is over.
    Ended {
        /// How it went.
        result: Outcome,
    },
}

/// A container changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    /// What changed.
    pub cause: Cause,
    /// How it is now.
    pub container: ContainerReport,
}

/// What changed in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It was made.
    Created,
    /// It was started.
    Started,
    /// It ended.
    Exited,
    /// The kernel ended a process in it for want of memory.
    OutOfMemory,
    /// It was frozen.
    Paused,
    /// It goes on.
    Unpaused,
    /// It is gone.
    Removed,
    /// It has another name.
    Renamed,
    /// Its own health check says something else.
    HealthChanged,
    /// It differs from what was last known: the engine or the agent was away.
    Found,
}
