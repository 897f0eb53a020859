//! The proxy between raw sockets: a backend that says exactly the bytes that a test wants, and a client that sees
//! exactly the bytes that arrive.
#![expect(clippy::disallowed_methods, reason = "a test's own server needs no kind and no restart")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its own parts too")]

mod admission;
mod chaos;
mod client;
mod clients;
mod config;
mod deaths;
mod disconnect;
mod endings;
mod gateway;
mod limits;
mod overflow;
mod own_timeouts;
mod partings;
mod real;
mod refusals;
mod relay;
mod scenarios;
mod sleep;
mod stored;
mod surface;
mod timeouts;
mod upstream;
