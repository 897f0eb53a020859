//! A seeded world around the decisions: generated loads, wrong estimates, faults, and what came of it.
//!
//! Time is virtual and chance comes from the seed, so the same knobs give the same report to the last byte.

mod chance;
mod fifo;
mod invariants;
mod knobs;
mod load;
mod real;
mod report;
mod world;

pub use chance::Chance;
pub use fifo::Fifo;
pub use invariants::{Broken, check};
pub use knobs::{Discipline, Faults, Knobs};
pub use report::Report;
pub use world::World;

/// Runs a generated load to its end. An error names the first invariant that was broken, and when.
pub fn run(knobs: &Knobs) -> Result<Report, Broken> {
    World::new(knobs).run()
}
