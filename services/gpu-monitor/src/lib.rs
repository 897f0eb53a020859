//! The agent on a GPU host: says what GPUs and containers there are and what becomes of them, and carries out orders to
//! make, start, stop, restart and remove containers. It decides nothing.
//!
//! It writes the stream of node reports (the last one counts; a node that sends none for a while is lost) and the stream
//! of node events (what became of orders, and what containers did by themselves), and takes its orders from the consumer
//! `agent-<node>`. It keeps nothing that matters: which start a container is and which orders are over it reads from its
//! own events.
//!
//! - [`devices`]: by what GPUs are read, and recordings of them.
//! - Every figure says whether it is measured, derived or unavailable; a host without a GPU says so.

mod clock;
mod config;
mod containers;
pub mod devices;
mod drive;
mod error;
mod memory;
pub mod metrics;
mod report;
mod rules;
mod run;
mod turns;

pub use config::Config;
pub use error::EngineError;
pub use run::{Parts, spawn};
