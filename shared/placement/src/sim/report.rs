//! What came of a simulation.

use serde::{Deserialize, Serialize};

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What all chance came from.
    pub seed: u64,
    /// Jobs that completed.
    pub completed: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Jobs that expired.
    pub expired: u64,
    /// From submission to first start: half waited no longer.
    pub wait_p50_ms: u64,
    /// From submission to first start: 95 in 100 waited no longer.
    pub wait_p95_ms: u64,
    /// From submission to first start: 99 in 100 waited no longer.
    pub wait_p99_ms: u64,
    /// Containers started.
    pub swaps: u64,
    /// Jobs interrupted for more urgent ones.
    pub preemptions: u64,
    /// Thousandths of the GPUs' time in which they did jobs that completed.
    pub utilisation_permille: u64,
    /// Work that had to be done again, or was for nothing.
    pub lost_work_ms: u64,
    /// From the first submission to the last end.
    pub makespan_ms: u64,
    /// Events taken in, decided actions included.
    pub events: u64,
    /// Restarts of the scheduler, each with a replay that was compared.
    pub replays: u64,
}

/// Collects while a world runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) waits_ms: Vec<u64>,
    pub(crate) useful_ms: u64,
    pub(crate) report: Report,
}

impl Tally {
    pub(crate) fn finish(mut self, gpus: u64, makespan_ms: u64) -> Report {
        self.waits_ms.sort_unstable();
        let at = |percent: usize| {
            let last = self.waits_ms.len().saturating_sub(1);
            self.waits_ms.get(last * percent / 100).copied().unwrap_or(0)
        };
        let (p50, p95, p99) = (at(50), at(95), at(99));
        let available = makespan_ms.saturating_mul(gpus).max(1);
        Report {
            wait_p50_ms: p50,
            wait_p95_ms: p95,
            wait_p99_ms: p99,
            makespan_ms,
            utilisation_permille: self.useful_ms.saturating_mul(1_000) / available,
            ..self.report
        }
    }
}
