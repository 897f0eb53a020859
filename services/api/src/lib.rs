//! The HTTP surface of durable runs: requests in, messages to the bus out; ledgers replayed and streamed.
//!
//! Streams it writes: the command log and the inboxes (a start). Streams it reads: the ledgers, one reader per shard
//! and process however many clients follow. It never executes a flow and decides nothing about placement.
//!
//! [`security`] guards everything below `/api/gateway`; [`operation`] and [`routes`] declare each route once, for
//! routing, checking and the OpenAPI document alike; [`Credentials`] is shared by every door of the gateway.

mod api;
pub mod auth;
pub mod bundles;
pub mod config;
mod control;
mod error;
mod failure;
pub mod input;
mod keys;
mod metrics;
mod models;
pub mod openapi;
pub mod operation;
mod principal;
pub mod routes;
mod run;
pub mod runs;
pub mod security;
mod serve;
mod shapes;
pub mod stream;

pub use api::{Api, Parts, PlaneData, Shared};
pub use auth::{Credentials, StoredKey, StoredKeys};
pub use config::ApiConfig;
pub use error::ApiError;
pub use principal::Principal;
pub use run::Service;
pub use serve::{fallbacks, layers};
