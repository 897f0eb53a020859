//! Processes are killed and frozen while clients work, and nothing that was acknowledged is lost, doubled or reordered.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

mod broker;
mod control;
mod effects;
mod flows;
mod frozen;
mod laws;
mod services;
mod storm;
