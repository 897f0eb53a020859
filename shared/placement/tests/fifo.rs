//! Batching against plain first come, first served.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use placement::sim::{Discipline, Knobs, Report, run};

fn both(knobs: &Knobs) -> (Report, Report) {
    let ours = run(&Knobs { discipline: Discipline::Gantry, ..knobs.clone() }).unwrap();
    let fifo = run(&Knobs { discipline: Discipline::Fifo, ..knobs.clone() }).unwrap();
    (ours, fifo)
}

#[test]
fn a_contended_host_swaps_three_times_less_than_fifo_at_a_better_p95_wait() {
    let mut swaps = (0, 0);
    for seed in 1..=5 {
        let (ours, fifo) = both(&Knobs { seed, check: false, ..Knobs::default() });
        println!("seed {seed}\n  ours {ours:?}\n  fifo {fifo:?}");
        assert_eq!((ours.completed, fifo.completed), (600, 600));
        assert!(ours.wait_p95_ms <= fifo.wait_p95_ms, "{} > {}", ours.wait_p95_ms, fifo.wait_p95_ms);
        assert!(ours.utilisation_permille >= fifo.utilisation_permille);
        swaps = (swaps.0 + ours.swaps, swaps.1 + fifo.swaps);
    }
    println!("swaps: ours {}, fifo {}", swaps.0, swaps.1);
    assert!(swaps.0 * 3 <= swaps.1, "{} swaps are not three times less than {}", swaps.0, swaps.1);
}

#[test]
fn a_host_with_time_to_spare_swaps_less_than_fifo_and_makes_nobody_wait_longer() {
    let (ours, fifo) = both(&Knobs { burst_gap_ms: 60_000, check: false, ..Knobs::default() });
    println!("ours {ours:?}\nfifo {fifo:?}");
    assert!(ours.swaps < fifo.swaps && ours.wait_p95_ms <= fifo.wait_p95_ms);
}

#[test]
fn knobs_name_only_what_differs_and_refuse_what_they_do_not_know() {
    let knobs: Knobs = serde_json::from_str(r#"{"seed": 9, "faults": {"lost_percent": 1}}"#).unwrap();
    assert_eq!((knobs.seed, knobs.faults.lost_percent, knobs.jobs), (9, 1, Knobs::default().jobs));
    assert!(serde_json::from_str::<Knobs>(r#"{"sed": 9}"#).is_err());
}
