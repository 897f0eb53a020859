//! Decides which job runs where, and which service starts, stops or makes way; and sees that it happens.
//!
//! Any number of schedulers may run; the one that holds the lease leads, the others stand by. The leader reads requests
//! in stream order (`GANTRY_REQUESTS`), hears nodes (`GANTRY_NODE_REPORTS`, `GANTRY_NODE_EVENTS`), and lets the pure core
//! in `placement` decide. What happened and what was decided is appended to `GANTRY_CONTROL` under a fence, one message
//! per step, and only then done: orders to nodes (`GANTRY_NODE_ORDERS`), calls to services. Payloads stay in the request
//! stream, results and snapshots in `GANTRY_JOBS`. It keeps nothing that the streams do not hold.
//!
//! It never touches Docker or a GPU itself; agents on the hosts do.

mod address;
mod answers;
mod board;
mod clock;
mod config;
mod desk;
mod drive;
mod effects;
mod error;
mod load;
pub mod metrics;
mod names;
mod pumps;
mod run;
mod step;

pub use config::Config;
pub use error::SchedulerError;
pub use run::{Parts, spawn};
