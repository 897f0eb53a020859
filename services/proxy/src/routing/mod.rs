//! Which backend serves a request: what is configured, what is found, who is well, who waits.

mod admission;
mod affinity;
mod backend;
mod breaker;
mod fleet;
mod model;
mod permits;
mod probe;
mod rest;
mod route;
#[cfg(test)]
mod tests;

pub(crate) use admission::{Entry, Full, Rank};
pub(crate) use affinity::fingerprint;
pub(crate) use backend::{Backend, ModelState};
pub(crate) use fleet::Fleet;
pub use fleet::FleetError;
pub(crate) use model::{Model, Replica};
pub(crate) use permits::{Guard, Permits, Ticket};
pub(crate) use probe::look;
pub(crate) use route::Route;
