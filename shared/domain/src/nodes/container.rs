//! Containers as their node's engine reports them.

use crate::Time;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A container's name, as Docker allows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ContainerName(String);

/// A text that cannot name a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' cannot name a container: use 2 to 128 letters, digits, '_', '.' and '-', beginning with a letter or digit"
)]
pub struct ContainerNameError(String);

impl ContainerName {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, ContainerNameError> {
        let fits = (2..=128).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if fits { Ok(Self(text.to_owned())) } else { Err(ContainerNameError(text.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContainerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// A node's container engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "engine_is", rename_all = "snake_case")]
pub enum EngineReport {
    /// It answers.
    Up {
        /// Its version.
        version: String,
        /// All containers, by name.
        containers: Vec<ContainerReport>,
    },
    /// It does not answer; what is known of containers is not reported.
    Down {
        /// What went wrong.
        because: String,
    },
}

impl EngineReport {
    /// The containers, if the engine answers.
    pub fn containers(&self) -> &[ContainerReport] {
        match self {
            Self::Up { containers, .. } => containers,
            Self::Down { .. } => &[],
        }
    }
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReport {
    /// The engine's full id; another one after it was made anew.
    pub id: String,
    /// Its name, without the leading `/`.
    pub name: String,
    /// Its image, as it was asked for.
    pub image: String,
    /// What it does.
    pub state: ContainerState,
    /// What its own health check says.
    pub health: Health,
    /// The number of the start that made it run, while it still is that start; none if a person or the engine started it.
    pub generation: Option<u64>,
    /// The engine's time of its last start, as the engine writes it. Changes with every start.
    pub started_at: Option<String>,
    /// The digest of the definition it was made from; none if Gantry did not make it.
    pub definition: Option<String>,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ContainerState {
    /// It never ran.
    Created,
    /// It runs.
    Running {
        /// Its first process, as a host process id.
        pid: Option<u32>,
    },
    /// It is frozen: it computes nothing and keeps its memory.
    Paused,
    /// The engine is starting it again.
    Restarting,
    /// It ended.
    Exited {
        /// Its exit code.
        code: i64,
        /// Whether the kernel ended it for want of memory.
        out_of_memory: bool,
        /// When.
        at: Option<Time>,
    },
    /// It is gone, or as good as.
    Removed,
}

impl ContainerState {
    /// Whether it holds memory or will in a moment.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Paused | Self::Restarting => true,
            Self::Created | Self::Exited { .. } | Self::Removed => false,
        }
    }
}

/// What a container's own health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It has none.
    None,
    /// Not known yet.
    Starting,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}
