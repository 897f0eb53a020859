//! What arrives in a run's inbox. Every change of a run begins with one of these.

use crate::{Command, Object, RunId, RunStatus, SessionId, Time, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a run's flow is kept. Bytes are addressed by their hash, so a run keeps the flow it began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A `.flow` file in the blob store, by the SHA-256 of its bytes.
    Bundle {
        /// Lower-case hexadecimal.
        sha256: String,
    },
    /// A generated flow that travels with the run (schedules).
    Inline {
        /// The flow document.
        document: Box<Value>,
    },
}

/// Begins a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartRun {
    /// Its id.
    pub run_id: RunId,
    /// The workflow, with its version.
    pub workflow_id: WorkflowId,
    /// Where the flow is.
    pub source: Source,
    /// Its variables at the start.
    #[serde(default)]
    pub vars: Object,
    /// The session; the run's own id when the client named none.
    pub session_id: SessionId,
    /// Who owns it; `gateway` for all runs of this product.
    pub actor_id: String,
    /// The run that started this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_run_id: Option<RunId>,
    /// Whether a parent waits for it and wants its end reported.
    #[serde(default)]
    pub report_to_parent: bool,
    /// When it was accepted.
    pub created_at: Time,
    /// What the client asked, digested, so that one idempotency key with two different requests is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_digest: Option<String>,
}

/// A child run's end, for its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// The child.
    pub child: RunId,
    /// How it ended.
    pub status: RunStatus,
    /// Its output, when it completed.
    pub output: Option<Value>,
    /// Why it failed or was cancelled.
    pub error: Option<String>,
}

/// An event, as its receivers see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// `<run>:<node>:<n>` for events of a flow; the client's for external ones.
    pub event_id: Option<String>,
    /// Its name.
    pub name: String,
    /// `session`, `workflow`, `run` or `global`.
    pub scope: String,
    /// The session it concerns.
    pub session_id: Option<String>,
    /// What it carries, always an object.
    pub payload: Object,
    /// When it was emitted.
    pub emitted_at: Option<String>,
    /// Who emitted it.
    pub emitter: Object,
}

/// An event on its way to one run that waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventDelivery {
    /// The key that the receiver must be waiting on; otherwise the event is dropped.
    pub wait_key: String,
    /// The event.
    pub envelope: Envelope,
}

/// One message of a run's inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum InboxMessage {
    /// Begin.
    Start(Box<StartRun>),
    /// A client's command, with its place in the command log.
    Command {
        /// Position in the plane's command log, from 1.
        seq: u64,
        /// The command.
        command: Box<Command>,
    },
    /// The result of an effect that was performed outside the step.
    EffectDone {
        /// The effect's idempotency key.
        key: String,
        /// The attempt it belongs to; a result of an older attempt is refused.
        attempt: u32,
        /// What came of it.
        outcome: Result<Value, String>,
    },
    /// A timer has come due.
    TimerFired {
        /// The timer's id, unique per arm.
        timer: String,
    },
    /// A child has ended.
    ChildEnded(ChildEnd),
    /// An event.
    Event(EventDelivery),
    /// Go on: the last step stopped at its budget.
    Continue,
}
