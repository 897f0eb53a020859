//! A process that runs services: one of them, or all on one port with a broker of its own.

mod broker;
mod config;
mod files;
mod hello;
mod rebuild;
mod run;
mod usage;
mod web;

pub use config::{BrokerConfig, ProcessConfig};
pub use hello::pack as pack_hello;
pub use rebuild::rebuild;
pub use run::serve;
