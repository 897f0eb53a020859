//! Metric names.

use domain::control::ServiceType;

/// Whether this process leads: 1 or 0.
pub const LEADING: &str = "gantry_scheduler_leading";
/// Attempts that were sent to services, by type.
pub const DISPATCHED: &str = "gantry_scheduler_dispatched_total";
/// Jobs that ended, by how.
pub const ENDED: &str = "gantry_scheduler_jobs_ended_total";
/// Steps that were stored.
pub const STEPS: &str = "gantry_scheduler_steps_total";
/// Seconds that storing a step took.
pub const APPEND: &str = "gantry_scheduler_append_seconds";

pub(crate) fn leading(leads: bool) {
    metrics::gauge!(LEADING).set(if leads { 1.0 } else { 0.0 });
}

pub(crate) fn dispatched(kind: &ServiceType) {
    metrics::counter!(DISPATCHED, "type" => kind.to_string()).increment(1);
}

pub(crate) fn ended(how: &'static str) {
    metrics::counter!(ENDED, "status" => how).increment(1);
}

pub(crate) fn stored(seconds: f64) {
    metrics::counter!(STEPS).increment(1);
    metrics::histogram!(APPEND).record(seconds);
}
