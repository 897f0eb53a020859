//! Everything that a simulation can be told, with defaults that show swap thrash on a small host.

use crate::Policy;
use serde::{Deserialize, Serialize};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discipline {
    /// The rules of this crate.
    Gantry,
    /// Plain first come, first served: each GPU takes the next job in order and swaps for it.
    Fifo,
}

/// The knobs of a simulation. Every one has a default, so a file names only what differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// What all chance comes from.
    pub seed: u64,
    /// Who decides.
    pub discipline: Discipline,
    /// GPU hosts.
    pub nodes: u64,
    /// GPUs of each.
    pub gpus_per_node: u64,
    /// Memory of each.
    pub gpu_mb: u64,
    /// Services, each of a type of its own unless `replicas` says otherwise.
    pub services: u64,
    /// Services of each type.
    pub replicas: u64,
    /// Every so many-th service needs two GPUs; zero means none.
    pub two_gpu_every: u64,
    /// Smallest memory of a service.
    pub service_mb_low: u64,
    /// Largest memory of a service.
    pub service_mb_high: u64,
    /// How far a declaration may be from the truth, either way.
    pub vram_error_percent: u64,
    /// Jobs that a service does at once.
    pub max_concurrency: u32,
    /// Median length of a start.
    pub start_ms: u64,
    /// Jobs in all.
    pub jobs: u64,
    /// Mean time between bursts.
    pub burst_gap_ms: u64,
    /// Most jobs of one burst.
    pub burst_jobs: u64,
    /// Exponent of the popularity of types.
    pub zipf_exponent: f64,
    /// Median runtime.
    pub runtime_ms: u64,
    /// Spread of the logarithm of runtimes.
    pub runtime_sigma: f64,
    /// How many in a hundred are urgent (priority 0 instead of 3).
    pub urgent_percent: u64,
    /// How many in a hundred name their service.
    pub pinned_percent: u64,
    /// How many attempts in a hundred fail.
    pub fail_percent: u64,
    /// How many in a hundred a person cancels some time later.
    pub cancel_percent: u64,
    /// How long a job may wait; none means for ever.
    pub ttl_ms: Option<u64>,
    /// How long an attempt may take.
    pub job_timeout_ms: u64,
    /// How often the requests of a proxy want a service for a while, beside the jobs.
    pub visits: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// The rules' numbers.
    pub policy: Policy,
    /// Whether the invariants are checked at every step.
    pub check: bool,
    /// Whether every incremental decision is compared with the whole one. Slow; for tests.
    pub compare: bool,
}

/// What goes wrong, in percent of messages or by mean time between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Messages that arrive twice.
    pub duplicate_percent: u64,
    /// Messages that arrive late.
    pub delay_percent: u64,
    /// How late at most.
    pub delay_ms: u64,
    /// Messages (commands, reports, acknowledgements) that never arrive.
    pub lost_percent: u64,
    /// Interrupts that a service ignores.
    pub stubborn_percent: u64,
    /// Mean time between crashes of agents; zero means none.
    pub agent_crash_ms: u64,
    /// Mean time between restarts of the scheduler; zero means none.
    pub scheduler_restart_ms: u64,
    /// No more crashes and restarts, and no more loss, after this time, so that every history ends.
    pub until_ms: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            seed: 1,
            discipline: Discipline::Gantry,
            nodes: 1,
            gpus_per_node: 2,
            gpu_mb: 24_576,
            services: 8,
            replicas: 1,
            two_gpu_every: 0,
            service_mb_low: 8_000,
            service_mb_high: 18_000,
            vram_error_percent: 15,
            max_concurrency: 1,
            start_ms: 12_000,
            jobs: 600,
            burst_gap_ms: 12_000,
            burst_jobs: 8,
            zipf_exponent: 1.0,
            runtime_ms: 3_000,
            runtime_sigma: 0.8,
            urgent_percent: 0,
            pinned_percent: 0,
            fail_percent: 0,
            cancel_percent: 0,
            ttl_ms: None,
            job_timeout_ms: 300_000,
            visits: 0,
            faults: Faults::default(),
            policy: Policy::default(),
            check: true,
            compare: false,
        }
    }
}

impl Knobs {
    /// A small history with every kind of fault, for testing many seeds.
    pub fn hostile(seed: u64) -> Self {
        let mut chance = super::Chance::new(seed);
        Self {
            seed,
            nodes: 1 + chance.below(2),
            gpus_per_node: 1 + chance.below(2),
            services: 2 + chance.below(3),
            replicas: 1 + chance.below(2),
            two_gpu_every: 3 * chance.below(2),
            vram_error_percent: 30,
            max_concurrency: if chance.percent(30) { 2 } else { 1 },
            start_ms: 3_000,
            jobs: 6 + chance.below(6),
            burst_gap_ms: 4_000,
            burst_jobs: 4,
            urgent_percent: 25,
            pinned_percent: 15,
            fail_percent: 8,
            cancel_percent: 5,
            ttl_ms: chance.percent(20).then_some(60_000),
            job_timeout_ms: 40_000,
            visits: chance.below(5),
            faults: Faults {
                duplicate_percent: 5,
                delay_percent: 5,
                delay_ms: 3_000,
                lost_percent: 3,
                stubborn_percent: 20,
                agent_crash_ms: 60_000,
                scheduler_restart_ms: 40_000,
                until_ms: 120_000,
            },
            ..Self::default()
        }
    }
}
