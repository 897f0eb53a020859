//! A seeded world of runs, inboxes, ledgers and runners in which everything that can go wrong does.
//!
//! Doorbells come late, twice or to two runners; a runner dies before it appends, after it, or between two effects;
//! an acknowledgement is lost; a slow runner appends or performs long after another has taken over; model calls fail
//! or vanish; commands are repeated. What must hold all the same:
//!
//! 1. A ledger is gapless and only grows; the cursor of the stored state is its length.
//! 2. A run ends once: one terminal record, and nothing after it.
//! 3. Every closing record of an effect follows its `started` record, and no attempt is closed twice.
//! 4. No effect completes twice under one key.
//! 5. A wait is answered once, and a child is started once for each wait for it.
//! 6. Every command has exactly one outcome.
//! 7. No event reaches a listener twice.
//! 8. Nothing is stuck: once the clients have answered everything, every run has ended, except listeners.
//! 9. The same seed gives the same bytes.
//! 10. When a cancelled tree has come to rest, nothing in it is alive.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod check;
mod flows;
mod world;

use check::check;
use domain::{RunStatus, StepRecord};
use flow::State;
use flows::library;
use std::collections::BTreeMap;
use world::{Sim, Stored};

const SEEDS: u64 = 10_000;

fn bytes(sim: &Sim<'_>) -> String {
    let ledgers: BTreeMap<&str, (&Vec<StepRecord>, &Option<State>)> =
        sim.runs.iter().map(|(run, stored)| (run.as_str(), (&stored.ledger, &stored.state))).collect();
    serde_json::to_string(&ledgers).unwrap()
}

#[test]
fn ten_thousand_worlds_keep_every_law() {
    let library = library();
    let (mut records, mut completed) = (0, 0);
    for seed in 0..SEEDS {
        let sim = Sim::new(&library, seed).live();
        check(&sim, seed);
        records += sim.runs.values().map(|stored| stored.ledger.len()).sum::<usize>();
        let is_completed =
            |stored: &&Stored| stored.state.as_ref().is_some_and(|state| state.status == RunStatus::Completed);
        completed += sim.runs.values().filter(is_completed).count();
    }
    // A world in which nothing happens keeps every law too.
    assert!(records > 30 * usize::try_from(SEEDS).unwrap(), "{records} records");
    assert!(completed > 2 * usize::try_from(SEEDS).unwrap(), "{completed} completed runs");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let library = library();
    for seed in 0..50 {
        let (one, two) = (Sim::new(&library, seed).live(), Sim::new(&library, seed).live());
        assert_eq!(bytes(&one), bytes(&two), "seed {seed}");
    }
}
