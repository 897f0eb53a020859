//! What the surface knows of runs: finding them, showing them, beginning them.

pub mod begin;
pub mod find;
pub mod history;
pub mod lifecycle;
pub mod light;
pub mod listeners;
pub mod recent;
pub mod references;
pub mod resolve;
pub mod schedule;
pub mod view;
