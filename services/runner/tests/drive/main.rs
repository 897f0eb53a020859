//! A runner on a real broker, without anything around it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod bench;
mod faults;
mod laws;
