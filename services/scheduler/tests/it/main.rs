//! The scheduler on a real broker, with real HTTP services around it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod chaos;
mod containers;
mod host;
mod jobs;
mod orders;
mod preemption;
mod seats;
mod services;
mod takeover;
mod worker;
mod world;
