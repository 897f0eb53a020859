//! The agent against a real broker, a real container engine and real containers.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod containers;
mod credentials;
mod engine;
mod host;
mod orders;
mod restarts;
mod settling;
mod silence;
