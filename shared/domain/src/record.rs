//! The ledger's unit: what clients replay and render.

use crate::{Object, RunId, SessionId, StepId, StepStatus, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One record of a run's ledger. All sixteen keys are always written, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The run.
    pub run_id: RunId,
    /// The step; its `started` and its closing record share it.
    pub step_id: StepId,
    /// The node of the flow.
    pub node_id: String,
    /// What happened.
    pub status: StepStatus,
    /// The effect, or none for a pure completion.
    pub effect: Option<EffectRecord>,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// When the step began; the closing record repeats it.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Who runs it; `gateway` for runs of this product.
    pub actor_id: Option<String>,
    /// The run's session.
    pub session_id: Option<SessionId>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// 32 hexadecimal characters that name this effect of this run, or a `system:` key.
    pub idempotency_key: Option<String>,
    /// Reserved for a chain of hashes.
    pub prev_hash: Option<String>,
    /// Reserved.
    pub record_hash: Option<String>,
    /// Reserved.
    pub signature: Option<String>,
}

/// An effect as the ledger announces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectRecord {
    /// Such as `ask_user` or `llm_call`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its arguments.
    pub payload: Object,
    /// Where in the run's variables the result goes.
    pub result_key: Option<String>,
}
