//! How any Gantry service runs: where its settings come from, how its tasks end, how it stops, whether it is ready.
//!
//! - [`config`]: one reader for flags, environment, file and defaults, which remembers where each value came from.
//! - [`Tasks`]: every spawned task has a kind that says what its failure means and what happens at shutdown.
//! - [`Signals`]: SIGINT and SIGTERM; the second one ends the process at once.
//! - [`Health`]: named checks behind `/readyz`.
//! - [`targets`]: where callbacks and webhooks may go.
//! - [`listen`]: a bounded number of HTTP connections, and their orderly end.

pub mod config;
mod health;
mod listen;
pub mod logging;
mod shutdown;
pub mod targets;
mod tasks;

pub use health::{Check, CheckReport, Health, Readiness};
pub use listen::listen;
pub use shutdown::{SignalError, Signals};
pub use tasks::{BoxError, Drained, Failure, Kind, Running, Tasks};
