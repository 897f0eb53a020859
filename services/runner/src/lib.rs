//! Drives runs: takes a doorbell, drains the run's inbox in order, steps the interpreter, appends the step to the
//! ledger under a fence, and only then performs what the step owes.
//!
//! Any number of runners share the consumer `runners` of the inbox streams; each also shares the router of the command
//! log. A runner keeps nothing that matters: when it dies, its unacknowledged doorbells ring at another, the ledger's
//! head says what is owed, and the fence refuses whatever the dead one may still send.

mod clock;
mod config;
mod crashes;
mod drive;
mod effects;
mod error;
mod flows;
mod hold;
mod locks;
pub mod metrics;
mod performed;
mod router;
mod run;
mod settle;
mod sweep;
mod turn;

pub use config::{Config, ModelConfig};
pub use error::RunnerError;
pub use run::{Parts, spawn};
