//! What a step owes the world once its records are stored. A closed list: adding one makes the compiler point at every
//! place that has to handle it.

use domain::{ChildEnd, Command, Envelope, Object, RunId, Time, WorkflowId};
use serde::{Deserialize, Serialize};

/// One thing to do after the step's records are stored. Performing it twice must do no harm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Effect {
    /// Ask a model; slow. The answer comes back as `InboxMessage::EffectDone`.
    CallModel {
        /// Idempotency key of the ledger's effect.
        key: String,
        /// The attempt, from 1.
        attempt: u32,
        /// The `llm_call` payload as recorded.
        request: Object,
    },
    /// Execute tool calls; slow. Its place is kept: no step asks for it yet.
    CallTools {
        /// Idempotency key of the ledger's effect.
        key: String,
        /// The attempt, from 1.
        attempt: u32,
        /// The `tool_calls` payload as recorded.
        request: Object,
    },
    /// Deliver an event to every run that waits on one of the keys, and come back at once with
    /// `EffectDone` whose value is `{wait_key, name, scope, delivered, delivered_to, resumed}`.
    EmitEvent {
        /// Idempotency key of the ledger's effect.
        key: String,
        /// The attempt, from 1.
        attempt: u32,
        /// Keys that listeners may wait on; the first is the event's own.
        wait_keys: Vec<String>,
        /// The event.
        envelope: Box<Envelope>,
    },
    /// Deliver an event that a client sent by command. Nothing comes back.
    DeliverEvent {
        /// The key that listeners must wait on.
        wait_key: String,
        /// Names this delivery, so that it reaches a listener once.
        delivery: String,
        /// The event.
        envelope: Box<Envelope>,
    },
    /// Start a child run.
    StartChild {
        /// Its id.
        child: RunId,
        /// Its workflow.
        workflow_id: WorkflowId,
        /// Its variables.
        vars: Object,
        /// Its session.
        session_id: String,
        /// Whether its end is to be reported to this run.
        report: bool,
    },
    /// Ring this run's inbox at a moment.
    ArmTimer {
        /// Unique per arm.
        timer: String,
        /// When.
        at: Time,
    },
    /// Forget a timer that is not needed any more.
    CancelTimer {
        /// The arm to cancel.
        timer: String,
    },
    /// Tell the parent how this run ended.
    ReportEnd {
        /// The parent.
        parent: RunId,
        /// How.
        end: Box<ChildEnd>,
    },
    /// Pass a command on: a tree-wide one to each child, one that concerns a schedule to the run above.
    ForwardCommand {
        /// The run that is to have it.
        child: RunId,
        /// Position of the command in the command log.
        seq: u64,
        /// The command.
        command: Box<Command>,
    },
    /// Take another step at once: this one stopped at its budget.
    Continue,
}
