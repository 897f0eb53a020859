//! Reads `.flow` bundles, compiles their flows and interprets them, without doing anything else.
//!
//! [`step`] takes a run's [`State`], what arrived in its inbox and the time, and answers with the next state, the
//! ledger records that announce the change and the [`Effect`]s that are owed after those records are stored. It reads
//! no clock, no randomness and no environment, so the same arguments give the same bytes: a driver that repeats a step
//! after a crash repeats it exactly.

pub mod bundle;
mod compile;
mod effect;
mod interpret;
pub mod model;
pub mod pure;
pub mod py;
pub mod schedule;
mod state;

pub use bundle::{Bundle, BundleError};
pub use compile::{CompileError, Flow, Library, Listener, Workflows, listener_id};
pub use effect::Effect;
pub use interpret::{ATTEMPTS, Step, World, attempt_lost, external_event, fail, listener_run_id, start, step};
pub use state::{ActiveChild, Control, Pending, State};
