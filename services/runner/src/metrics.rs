//! Names of this service's metrics.

/// Steps stored, counter.
pub const STEPS: &str = "gantry_runner_steps_total";
/// Ledger records stored, counter.
pub const RECORDS: &str = "gantry_runner_records_total";
/// Fences lost to another runner, counter.
pub const FENCES_LOST: &str = "gantry_runner_fences_lost_total";
/// From doorbell to acknowledgement without slow effects, histogram in seconds.
pub const STEP_SECONDS: &str = "gantry_runner_step_seconds";
/// Model calls by outcome, counter.
pub const MODEL_CALLS: &str = "gantry_runner_model_calls_total";
/// Slow effects taken over from a runner that died, counter.
pub const TAKEOVERS: &str = "gantry_runner_takeovers_total";
/// Commands routed to inboxes, counter.
pub const COMMANDS: &str = "gantry_runner_commands_total";
