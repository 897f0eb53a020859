//! The stored form of a step, and the parts of it that different readers take.

use crate::{LedgerError, Marks};
use domain::{CommandId, CommandOutcome, RunId, RunStatus, SessionId, Time, WaitReason, WorkflowId};
use flow::{Effect, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record exactly as it is stored, shared by all who stream it.
pub type RawRecord = Arc<RawValue>;

/// A command that the step applied or refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The command.
    pub command_id: CommandId,
    /// What became of it.
    pub outcome: CommandOutcome,
}

/// What is written.
#[derive(Serialize)]
pub(crate) struct Written<'a> {
    pub(crate) before: u64,
    pub(crate) records: &'a RawValue,
    #[serde(skip_serializing_if = "<[Outcome]>::is_empty")]
    pub(crate) outcomes: &'a [Outcome],
    #[serde(skip_serializing_if = "<[Effect]>::is_empty")]
    pub(crate) effects: &'a [Effect],
    pub(crate) doorbell: u64,
    pub(crate) delivery: u64,
    pub(crate) marks: &'a Marks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_blob: Option<&'a str>,
    pub(crate) state: &'a RawValue,
}

/// What a runner reads: everything but the records.
#[derive(Deserialize)]
pub(crate) struct HeadBody {
    pub(crate) before: u64,
    #[serde(default)]
    pub(crate) outcomes: Vec<Outcome>,
    #[serde(default)]
    pub(crate) effects: Vec<Effect>,
    #[serde(default)]
    pub(crate) doorbell: u64,
    #[serde(default)]
    pub(crate) delivery: u64,
    pub(crate) marks: Marks,
    #[serde(default)]
    pub(crate) state_blob: Option<String>,
    pub(crate) state: Box<RawValue>,
}

/// What a replay from the middle reads beside the records.
#[derive(Deserialize)]
pub(crate) struct MarksOnly {
    pub(crate) marks: Marks,
}

/// What a replay reads.
#[derive(Deserialize)]
pub(crate) struct RecordsBody {
    pub(crate) before: u64,
    pub(crate) records: Vec<RawRecord>,
    #[serde(default)]
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) state: StatusOnly,
}

/// The one thing of a state that a stream of records needs.
#[derive(Deserialize)]
pub(crate) struct StatusOnly {
    pub(crate) status: RunStatus,
}

/// What lists show of a run: everything of its state but the variables.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Summary {
    /// The run.
    pub run_id: RunId,
    /// What it executes.
    pub workflow_id: WorkflowId,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was accepted.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Who runs it.
    pub actor_id: String,
    /// Its session.
    pub session_id: SessionId,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// Why it failed or was cancelled.
    pub error: Option<String>,
    /// What it waits for.
    #[serde(default)]
    pub waiting: Option<WaitSummary>,
    /// Records in its ledger.
    pub cursor: u64,
    /// Effects by type.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// The lifecycle a client gave it, for drafts.
    #[serde(default)]
    pub vars: LifecycleOnly,
}

/// The part of a wait that lists show.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct WaitSummary {
    /// What is waited for.
    pub reason: WaitReason,
    /// Until when.
    pub until: Option<Time>,
}

/// The part of the variables that lists show.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct LifecycleOnly {
    /// As sanitised at the start.
    #[serde(rename = "_run_lifecycle", default)]
    pub lifecycle: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct SummaryBody {
    state: Summary,
}

impl Summary {
    /// Reads it out of a stored step.
    pub fn read(run: &RunId, body: &[u8]) -> Result<Self, LedgerError> {
        read::<SummaryBody>(run, body).map(|found| found.state)
    }

    /// Of a state in hand.
    pub fn of(state: &State) -> Self {
        Self {
            run_id: state.run_id.clone(),
            workflow_id: state.workflow_id.clone(),
            status: state.status,
            created_at: state.created_at,
            updated_at: state.updated_at,
            actor_id: state.actor_id.clone(),
            session_id: state.session_id.clone(),
            parent_run_id: state.parent_run_id.clone(),
            error: state.error.clone(),
            waiting: state.waiting.as_ref().map(|wait| WaitSummary { reason: wait.reason, until: wait.until }),
            cursor: state.cursor,
            counts: state.counts.clone(),
            vars: LifecycleOnly { lifecycle: state.vars.get("_run_lifecycle").cloned() },
        }
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(run: &RunId, body: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(body)
        .map_err(|error| LedgerError::Unreadable { run: run.to_string(), cause: error.to_string() })
}
