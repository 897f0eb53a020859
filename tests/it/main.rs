//! The contract over real HTTP: the whole program, its broker and a model server, seen from outside.

mod bundles;
mod commands;
mod documents;
mod drafts;
mod flows;
mod fuzz;
mod golden;
mod history;
mod ledgers;
mod runs;
mod schedules;
mod security;
mod streams;
mod tap;
mod traces;
