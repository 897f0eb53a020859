//! The rules' numbers, each with its default.

use serde::{Deserialize, Serialize};

/// The numbers that the rules use. Part of the replayed state, so that a replay decides as the original did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How much less urgent a running job must be than a waiting one to be preempted for it.
    pub preempt_priority_gap: i32,
    /// How long a job runs before it may be preempted, unless its service says otherwise.
    pub min_runtime_ms: u64,
    /// Added to a learned peak, in percent.
    pub vram_margin_percent: u64,
    /// From so many measured runs of its container on, a service's learned peak replaces its declaration.
    pub learned_after: u32,
    /// Two measurements that differ by no more than this are quiet.
    pub quiet_mb: u64,
    /// After so long without quiet, a device is used again with what is measured.
    pub settle_timeout_ms: u64,
    /// How long a stop may stay unconfirmed before it is sent again.
    pub command_timeout_ms: u64,
    /// How long a stop that a person asked for waits for running jobs.
    pub drain_timeout_ms: u64,
    /// How long an interrupted job may hold its slot before its container is stopped.
    pub interrupt_grace_ms: u64,
    /// How long a container may take to become healthy, unless its service says otherwise.
    pub start_timeout_ms: u64,
    /// Wait after the first failed start; doubles with each further one.
    pub start_backoff_ms: u64,
    /// Longest wait between failed starts.
    pub start_backoff_cap_ms: u64,
    /// How long a start is taken to last until one was seen.
    pub assumed_start_ms: u64,
    /// How long a job waits before a loaded service must make room for it at equal priority.
    pub batch_patience_ms: u64,
    /// A loaded service may work for so many times the length of its own start before it makes room.
    pub batch_factor: u64,
    /// Shortest time that a loaded service may work.
    pub batch_min_ms: u64,
    /// Longest time that a loaded service may work while others wait at equal priority.
    pub batch_max_ms: u64,
    /// A further service of a type that already runs takes the room of one idle for this long, never of another.
    pub scale_out_idle_ms: u64,
    /// How often a job's attempt may be lost through no fault of its own before the job fails.
    pub max_losses: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            preempt_priority_gap: 2,
            min_runtime_ms: 2_000,
            vram_margin_percent: 10,
            learned_after: 3,
            quiet_mb: 128,
            settle_timeout_ms: 30_000,
            command_timeout_ms: 30_000,
            drain_timeout_ms: 30_000,
            interrupt_grace_ms: 10_000,
            start_timeout_ms: 120_000,
            start_backoff_ms: 5_000,
            start_backoff_cap_ms: 300_000,
            assumed_start_ms: 20_000,
            batch_patience_ms: 30_000,
            batch_factor: 8,
            batch_min_ms: 2_000,
            batch_max_ms: 300_000,
            scale_out_idle_ms: 30_000,
            max_losses: 10,
        }
    }
}

/// The wait before retry number `failures` (from 1): doubled each time, up to the cap.
pub(crate) fn backoff_ms(first: u64, cap: u64, failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(30);
    first.saturating_mul(1 << doublings).min(cap)
}
