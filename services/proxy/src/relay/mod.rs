//! The way of one request to a backend and of the answer back.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod body;
mod chunks;
pub(crate) mod client;
pub(crate) mod completion;
mod connect;
pub(crate) mod dialect;
mod head;
pub(crate) mod job;
pub(crate) mod live;
pub(crate) mod native;
pub(crate) mod open;
pub(crate) mod parting;
pub(crate) mod repair;
mod stream;
pub(crate) mod watchdog;
pub(crate) mod whole;
pub(crate) mod wire;
