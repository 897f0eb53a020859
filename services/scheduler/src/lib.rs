//! Decides which job runs where, and which service starts, stops or makes way; and sees that it happens.
//!
//! Any number of schedulers may run; the one that holds the lease leads, the others stand by. The leader reads requests
//! in stream order (`GANTRY_REQUESTS`), hears nodes (`GANTRY_NODE_REPORTS`, `GANTRY_NODE_EVENTS`), and lets the pure core
//! in `placement` decide. What happened and what was decided is appended to `GANTRY_CONTROL` under a fence, one message
//! per step, and only then done: orders to nodes (`GANTRY_NODE_ORDERS`), calls to services. Payloads stay in the request
//! stream, results and snapshots in `GANTRY_JOBS`. It keeps nothing that the streams do not hold.
//!
//! Requests of proxies take part: what they need of services comes in by `GANTRY_SEATS` and becomes events like any other;
//! how services that serve models stand goes out by `GANTRY_OFFERS`, after it is stored.
//!
//! What a service sees: one POST per attempt, the payload verbatim, at the path of its type (`/v1/chat/completions` for
//! `llm` and `vlm`, `/execute` for `code-runner`, else `/process`) or at its own `job_endpoint`, with the headers
//! `Gantry-Job-Id`, `Gantry-Attempt`, `Gantry-Deadline` (RFC 3339) and `Idempotency-Key` (one per attempt). A resumed job
//! brings `Gantry-Resume-Snapshot` (JSON, ASCII), or `Gantry-Resume-From` (the path of its record) if that is longer than
//! 8 KiB, or else `Gantry-Resume-Progress`. A service with a `stop_endpoint` is posted
//! `{"job_id","attempt","cause","deadline"}` when a job has to stop; a 2xx answer means that it has stopped, and may hold
//! `{"snapshot": …}`. One without is hung up on; unless it is known to stop then, its container is stopped.
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
mod offers;
mod pumps;
mod run;
mod step;

pub use config::Config;
pub use error::SchedulerError;
pub use run::{Parts, spawn};
