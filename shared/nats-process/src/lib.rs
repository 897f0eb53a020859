//! Finds, starts, supervises and stops a child nats-server: the embedded default of `gantry up`, and every test's broker.
//!
//! A child must not outlive its gateway, not even one that was killed outright. Three things hold that up, without
//! unsafe code: a watchdog shell holds the read end of a pipe and ends the server when the gateway's end closes; a
//! start looks for a server that a crash left behind, by its pid file and command line, and ends it; and a lock on
//! the store directory keeps a second gateway out with a clear message.

mod binary;
mod cluster;
mod config;
mod error;
mod lock;
mod ports;
mod process;
mod ready;
mod server;
mod watch;

pub use binary::{Binary, OLDEST, Search, Version};
pub use cluster::Cluster;
pub use config::{Member, SyncInterval};
pub use error::{BinaryError, StartError};
pub use ports::free as free_port;
pub use server::{Builder, Handle, Server};
pub use watch::{Event, GaveUp, Restarts};
