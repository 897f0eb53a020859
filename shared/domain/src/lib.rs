//! The vocabulary every Gantry service speaks: ids, times, commands, records, inbox messages and limits.
//!
//! Nothing in here does IO, reads a clock or waits. What is written to a stream or sent to a client is one of
//! these types, so a field name is decided in exactly one place.

mod command;
pub mod control;
pub mod deferred;
mod ids;
mod inbox;
pub mod keys;
pub mod limits;
pub mod models;
pub mod nodes;
pub mod notices;
mod record;
mod status;
mod time;

pub use command::{Command, CommandKind, CommandOutcome, Verdict};
pub use ids::{
    BundleRef, CommandId, IdError, Plane, RunId, SessionId, StepId, WorkflowId, digest_hex, is_token, uuid_from,
};
pub use inbox::{ChildEnd, Envelope, EventDelivery, InboxMessage, Source, StartRun};
pub use record::{EffectRecord, StepRecord};
pub use status::{RunStatus, StepStatus, Wait, WaitReason};
pub use time::{Time, TimeError};

/// A JSON object that keeps the order of its keys, as clients see them.
pub type Object = serde_json::Map<String, serde_json::Value>;
