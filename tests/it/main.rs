//! The contract over real HTTP: the whole program, its broker and a model server, seen from outside.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly, its helpers too")]

mod backends;
mod bundles;
mod command_line;
mod commands;
mod control;
mod described;
mod documents;
mod drafts;
mod faults;
mod flows;
mod fuzz;
mod golden;
mod gpu;
mod history;
mod keys;
mod ledgers;
mod models;
mod notices;
mod open_streams;
mod overflow;
mod postgres;
mod rebuild;
mod runs;
mod schedules;
mod security;
mod streams;
mod tap;
mod tls;
mod traces;
mod traffic;
mod usage;
