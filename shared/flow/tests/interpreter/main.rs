//! The interpreter as its driver sees it: golden cases, laws, and a simulation of everything that can go wrong.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bundles;
mod by_hand;
mod damage;
mod driver;
mod effects;
mod golden;
mod hostile;
mod laws;
mod schedules;
mod sketch;
