//! The agent against a real broker, a real container engine and real containers.

mod containers;
mod engine;
mod host;
mod orders;
mod restarts;
mod silence;
