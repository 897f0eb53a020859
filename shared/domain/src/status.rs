//! Where a run, a step and a wait stand.

use crate::{Object, Time};
use serde::{Deserialize, Serialize};

/// Where a run stands. The last three are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Being executed, or about to be.
    Running,
    /// Held until a person, a time, an event, a child or a worker moves it on.
    Waiting,
    /// Ended by itself.
    Completed,
    /// Ended by an error.
    Failed,
    /// Ended by a command.
    Cancelled,
}

impl RunStatus {
    /// Whether nothing will change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The lower-case word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Waiting, Self::Completed, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// What one ledger record says of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// The effect is about to be performed.
    Started,
    /// It is done.
    Completed,
    /// It holds the run.
    Waiting,
    /// It failed.
    Failed,
}

/// What a waiting run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitReason {
    /// A named event.
    Event,
    /// A moment.
    Until,
    /// A person.
    User,
    /// A worker outside.
    Job,
    /// A child run.
    Subworkflow,
}

impl WaitReason {
    /// The lower-case word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Until => "until",
            Self::User => "user",
            Self::Job => "job",
            Self::Subworkflow => "subworkflow",
        }
    }
}

/// A wait as ledgers show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// What is waited for.
    pub reason: WaitReason,
    /// The key that a resume may have to name.
    pub wait_key: Option<String>,
    /// When a time wait is due.
    pub until: Option<Time>,
    /// The node to go on with; none ends the run.
    pub resume_to_node: Option<String>,
    /// Where in the run's variables the answer is written.
    pub result_key: Option<String>,
    /// The question put to a person.
    pub prompt: Option<String>,
    /// Answers offered.
    pub choices: Option<Vec<serde_json::Value>>,
    /// Whether other answers are taken.
    pub allow_free_text: bool,
    /// More, by kind of wait.
    pub details: Option<Object>,
}

impl Wait {
    /// A wait with nothing but its reason.
    pub fn new(reason: WaitReason) -> Self {
        Self {
            reason,
            wait_key: None,
            until: None,
            resume_to_node: None,
            result_key: None,
            prompt: None,
            choices: None,
            allow_free_text: true,
            details: None,
        }
    }
}
