//! Everything that is known of one run. It travels whole in the run's last ledger message.

use domain::{Object, RunId, RunStatus, SessionId, Source, Time, Wait, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A run between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The run.
    pub run_id: RunId,
    /// What it executes.
    pub workflow_id: WorkflowId,
    /// Where its flow is kept.
    pub source: Source,
    /// Where it stands.
    pub status: RunStatus,
    /// The node to execute next, or that is being executed.
    pub current_node: String,
    /// Variables: the user's keys, and the kernel's, which begin with `_` (`_temp`, `_runtime`, `_limits`, …).
    pub vars: Object,
    /// What it waits for.
    pub waiting: Option<Wait>,
    /// Its output, once completed.
    pub output: Option<Value>,
    /// Why it failed or was cancelled.
    pub error: Option<String>,
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
    /// Whether that run wants to hear of its end.
    pub report_to_parent: bool,
    /// Digest of the request that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_digest: Option<String>,
    /// Pause, and what to do after it.
    #[serde(default)]
    pub control: Control,
    /// The effect whose result is awaited from outside the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The armed timer, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<String>,
    /// Children that have not ended, in the order of their start.
    #[serde(default)]
    pub children: Vec<ActiveChild>,
    /// Records written so far; the cursor of the last one.
    pub cursor: u64,
    /// Position in the command log of the last command that named this run. Such commands come in the order of the
    /// log, so one that is not above it was taken in before.
    #[serde(default)]
    pub last_command: u64,
    /// The same for commands that the run above passed on. They take a detour, so they must not be measured by those
    /// that come straight: a pause of the whole tree may arrive after a later answer to this run.
    #[serde(default)]
    pub last_forwarded: u64,
    /// Counts effects, so that the same effect in a later loop pass is another effect.
    #[serde(default)]
    pub effect_seq: u64,
    /// Counts derived ids (steps, children, timers).
    #[serde(default)]
    pub id_seq: u64,
    /// Counts executed nodes; seeds what a node draws at random.
    #[serde(default)]
    pub node_seq: u64,
    /// Runs above this one.
    #[serde(default)]
    pub depth: u32,
    /// Whether the run has taken its first step, in which a root run starts its listeners.
    #[serde(default)]
    pub begun: bool,
    /// Deliveries taken in lately, newest last, so that one that is repeated is dropped. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
    /// Figures for lists: effects by type, and `total_tokens` of all model calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

/// Pause and resume of a run; independent of its status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Whether it is held.
    pub paused: bool,
    /// Why, in the client's words.
    pub pause_reason: Option<String>,
    /// Since when.
    pub paused_at: Option<Time>,
    /// When it was last let go.
    pub resumed_at: Option<Time>,
    /// What became due while it was held: a fired timer, a child's end or an effect's result, taken up on resume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<domain::InboxMessage>,
    /// The effect whose result is held: it is not outstanding any more, and not written down yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Box<Pending>>,
}

/// An effect that was announced in the ledger and whose result has not come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Its idempotency key.
    pub key: String,
    /// Its step.
    pub step_id: String,
    /// The node.
    pub node_id: String,
    /// The attempt that is under way, from 1.
    pub attempt: u32,
    /// When that attempt was announced.
    pub started_at: Time,
    /// The effect as recorded.
    pub effect: domain::EffectRecord,
    /// The node to go on with.
    pub next: Option<String>,
}

/// A child that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveChild {
    /// The child.
    pub run_id: RunId,
    /// What it executes.
    pub workflow_id: WorkflowId,
}
