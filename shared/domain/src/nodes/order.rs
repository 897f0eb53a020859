//! Orders to a node's agent and what becomes of them.

use super::{ContainerName, ContainerReport, Definition, NodeId};
use crate::Time;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One order's id. Who gives an order twice gives it with the same id, and it is carried out once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that a node is to do with one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OperationId,
    /// To whom.
    pub node: NodeId,
    /// With which container.
    pub container: ContainerName,
    /// The scheduler's number of the container's start that it belongs to. An order that belongs to an older start than
    /// the last one carried out is refused; none is never refused.
    pub generation: Option<u64>,
    /// After this it is not begun, and what is under way counts as failed.
    pub deadline: Time,
    /// What to do.
    pub operation: Operation,
}

/// What can be done with a container. Each leaves the container as it says, whatever it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Operation {
    /// Make it, fetching its image by the definition's policy; it does not run yet. One of another definition that does
    /// not run is replaced.
    Create {
        /// How.
        definition: Box<Definition>,
    },
    /// Let it run. With a definition it is made first where it is missing, and made anew where it stands still and
    /// came of another definition.
    Start {
        /// How it is made; none takes the container as it is.
        definition: Option<Box<Definition>>,
    },
    /// Let it stop: first by its stop signal and, after the grace, by force.
    Stop {
        /// How long it may take to end by itself.
        grace_ms: u64,
    },
    /// Stop it and let it run again.
    Restart {
        /// How long it may take to end by itself.
        grace_ms: u64,
    },
    /// Only say how it is.
    Inspect,
    /// Let it be gone; a running one is stopped first.
    Remove {
        /// How long it may take to end by itself.
        grace_ms: u64,
    },
}

impl Operation {
    /// Its word, for logs and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Inspect => "inspect",
            Self::Remove { .. } => "remove",
        }
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The container is as it was to be.
    Done {
        /// Whether anything had to be done for it.
        changed: bool,
        /// The container; none when it is gone.
        container: Option<Box<ContainerReport>>,
    },
    /// It is not.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// Why an order failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// In one word.
    pub kind: FailureKind,
    /// For a person: what failed and what to do.
    pub text: String,
}

/// Why an order failed, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// There is no such container and the order does not say how to make it.
    ContainerNotFound,
    /// The image is not there and may not or cannot be fetched.
    ImageNotFound,
    /// The engine did not answer until the deadline.
    EngineUnreachable,
    /// The engine said no.
    EngineRefused,
    /// It was not done by the deadline.
    TimedOut,
    /// The deadline had passed before it was begun.
    Expired,
    /// A newer start of the container was ordered.
    Superseded,
    /// The node's rules do not allow it.
    NotAllowed,
}

impl FailureKind {
    /// Its word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContainerNotFound => "container_not_found",
            Self::ImageNotFound => "image_not_found",
            Self::EngineUnreachable => "engine_unreachable",
            Self::EngineRefused => "engine_refused",
            Self::TimedOut => "timed_out",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::NotAllowed => "not_allowed",
        }
    }
}
