//! What clients may ask of a run, and what became of it.

use crate::{CommandId, Object, RunId, Time};
use serde::{Deserialize, Serialize};

/// The six commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Hold the run and its descendants.
    Pause,
    /// Answer a wait (with `payload.payload`), or let a paused tree go on (without).
    Resume,
    /// End the run and its descendants.
    Cancel,
    /// Wake whoever waits for an event.
    EmitEvent,
    /// Change the interval of a recurrent schedule.
    UpdateSchedule,
    /// Shorten the conversation of a scheduled run.
    CompactMemory,
}

impl CommandKind {
    /// Every kind, in the order the contract lists them.
    pub const ALL: [Self; 6] =
        [Self::Pause, Self::Resume, Self::Cancel, Self::EmitEvent, Self::UpdateSchedule, Self::CompactMemory];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::EmitEvent => "emit_event",
            Self::UpdateSchedule => "update_schedule",
            Self::CompactMemory => "compact_memory",
        }
    }

    /// The kind of that word; case matters.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A command as it lies in the command log and travels to inboxes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The client's id of it.
    pub command_id: CommandId,
    /// The run it names.
    pub run_id: RunId,
    /// What to do.
    #[serde(rename = "type")]
    pub kind: CommandKind,
    /// Arguments, by kind.
    #[serde(default)]
    pub payload: Object,
    /// The client's own time stamp, kept as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it was accepted.
    pub accepted_at: Time,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It changed the run (or did nothing because nothing was left to do, which `note` then says).
    Applied {
        /// Why nothing changed, when nothing did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// It could not be applied.
    Refused {
        /// Why, for a person.
        reason: String,
    },
}

/// The outcome that `GET /api/gateway/commands/{command_id}` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandOutcome {
    /// The run that it was applied to.
    pub run_id: RunId,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How many records the run's ledger had once it was applied.
    pub cursor: u64,
    /// When.
    pub applied_at: Time,
}
