//! The notifier: turns events into pushes, signed webhooks and the callbacks of jobs, and never makes anybody wait.
//!
//! - [`sources`](crate::spawn) follow what happened (the run ledgers, with a durable position per shard; the control log
//!   of jobs, services and nodes, as a durable consumer) and store a [`domain::notices::Notice`] for each thing that
//!   somebody may want to be told. A notice is stored once by its id, so looking twice is harmless.
//! - The router takes notices from their stream (consumer `notifier`), and by [`rules`](crate::Routes) drops, silences,
//!   groups and routes them: one outgoing message per channel.
//! - Each channel takes its outgoing messages (consumer `channel-<name>`) and delivers them: at least once, under the
//!   same id each time. A failed attempt comes again later, by a schedule that the broker keeps; the last one becomes a
//!   dead letter, which can be listed and replayed.
//! - Callbacks are outgoing messages of a channel of their own. It always runs, because each job brings its address.
//!
//! Nothing is acknowledged before what follows from it is stored or delivered, so a notifier may die anywhere; several
//! may run, and share the work.

mod channels;
mod clock;
mod config;
mod deliver;
mod drive;
mod error;
mod hold;
pub mod metrics;
mod rules;
mod run;
mod sources;

pub use channels::signature::SecretError;
pub use config::{Config, Links, NtfyConfig, WebhookConfig};
pub use error::NotifierError;
pub use rules::routes::{RouteError, Routes};
pub use run::{Parts, spawn};
