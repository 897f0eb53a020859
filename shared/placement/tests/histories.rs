//! Many seeded histories with every fault, the invariants checked at each step.

use placement::sim::{Knobs, run};

/// A whole history is one seed; a failure names it, so it can be run alone.
fn histories(seeds: std::ops::Range<u64>, compare: bool) {
    for seed in seeds {
        let knobs = Knobs { compare, ..Knobs::hostile(seed) };
        if let Err(broken) = run(&knobs) {
            panic!("{broken}");
        }
    }
}

#[test]
fn no_history_of_ten_thousand_breaks_an_invariant_or_loses_a_job() {
    histories(0..10_000, false);
}

#[test]
fn what_one_event_decides_is_what_the_whole_decides() {
    histories(20_000..20_300, true);
}

#[test]
fn it_is_so_on_crowded_hosts_too() {
    for seed in 30_000..30_060 {
        let crowd = Knobs { nodes: 2, gpus_per_node: 2, services: 12, replicas: 2, jobs: 60, ..Knobs::hostile(seed) };
        if let Err(broken) = run(&Knobs { burst_gap_ms: 1_000, compare: true, ..crowd }) {
            panic!("{broken}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let report = |seed| serde_json::to_string(&run(&Knobs::hostile(seed)).unwrap()).unwrap();
    assert_eq!(report(7), report(7));
    assert_ne!(report(7), report(8));
}
