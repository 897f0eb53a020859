//! Names of the metrics, and the few places that write them.

mod meters;

pub(crate) use meters::Meters;

use crate::usage::{Outcome, Usage};
use metrics::{counter, gauge, histogram};

/// Requests that ended, by route, model, backend and outcome.
pub const REQUESTS: &str = "gantry_proxy_requests_total";
/// Seconds from the request to the end of the answer.
pub const DURATION: &str = "gantry_proxy_request_seconds";
/// Seconds until the first content.
pub const FIRST_TOKEN: &str = "gantry_proxy_first_token_seconds";
/// Seconds from one piece of a stream's content to the next, as the backend sent them, by model.
pub const BETWEEN_TOKENS: &str = "gantry_proxy_between_tokens_seconds";
/// Seconds that requests waited in a model's queue.
pub const QUEUE: &str = "gantry_proxy_queue_seconds";
/// Seconds that requests waited for a service to be started and to be theirs to use.
pub const START: &str = "gantry_proxy_start_seconds";
/// Seconds that the proxy itself took before it called a backend.
pub const OVERHEAD: &str = "gantry_proxy_overhead_seconds";
/// Tokens, by model and direction.
pub const TOKENS: &str = "gantry_proxy_tokens_total";
/// Requests that failed on one replica and were sent to another.
pub const FAILOVERS: &str = "gantry_proxy_failovers_total";
/// Requests refused by a limit, by key; empty for callers without one.
pub const LIMITED: &str = "gantry_proxy_rate_limited_total";
/// Requests refused before they were one for a model: keys, paths, methods; by the error's code.
pub const REFUSED: &str = "gantry_proxy_refused_total";
/// Requests that have not ended.
pub const OPEN: &str = "gantry_proxy_open_requests";
/// Guards that are held now.
pub const HELD: &str = "gantry_proxy_permits_held";
/// Guards that are held by requests that have ended. Must be 0.
pub const LEAKED: &str = "gantry_proxy_permits_leaked";
/// Requests that wait for a model.
pub const WAITING: &str = "gantry_proxy_waiting_requests";
/// Requests that a backend carries now.
pub const OUTSTANDING: &str = "gantry_proxy_outstanding_requests";
/// Whether a backend is well: 1 or 0.
pub const HEALTHY: &str = "gantry_proxy_backend_healthy";

/// Requests whose client left before their end at a backend that does not stop by itself, by backend and outcome: drained,
/// cut (more than is read for nobody), aborted, abort_failed, closed (too many of them).
pub const PARTED: &str = "gantry_proxy_parted_requests_total";

/// What happened to jobs that requests became, by event.
pub const JOBS: &str = "gantry_proxy_jobs_total";
/// Such jobs over all proxies, by status: queued and running.
pub const OPEN_JOBS: &str = "gantry_proxy_jobs";
/// Seconds from the acceptance of a job to its first attempt.
pub const JOB_WAIT: &str = "gantry_proxy_job_wait_seconds";

/// Counts a request whose client left.
pub(crate) fn parted(backend: &str, outcome: &'static str) {
    counter!(PARTED, "backend" => backend.to_owned(), "outcome" => outcome).increment(1);
}

/// Counts something that happened to a job.
pub(crate) fn job(event: &'static str) {
    counter!(JOBS, "event" => event).increment(1);
}

/// A job's first attempt begins.
pub(crate) fn job_waited(job: &domain::deferred::DeferredJob) {
    let micros = job.started_at.map_or(0, |at| at.as_micros().saturating_sub(job.created_at.as_micros()));
    histogram!(JOB_WAIT).record(micros as f64 / 1e6);
}

/// How many jobs wait, and how many a model server has.
pub(crate) fn jobs(queued: usize, running: usize) {
    gauge!(OPEN_JOBS, "status" => "queued").set(queued as f64);
    gauge!(OPEN_JOBS, "status" => "running").set(running as f64);
}

/// Counts a request that ended, on the meters of its model if it has one.
pub(crate) fn ended(usage: &Usage, meters: Option<&Meters>) {
    if let (Some(meters), Some(backend), Outcome::Completed) = (meters, &usage.backend, &usage.outcome) {
        meters.completed(usage, backend);
        return;
    }
    let outcome = usage.outcome.word().to_owned();
    // A name that nobody knows must not become a label: a client could make any number of them.
    let model = if usage.backend.is_some() { usage.model.to_string() } else { String::new() };
    let backend = usage.backend.as_deref().unwrap_or_default().to_owned();
    counter!(REQUESTS, "route" => usage.route, "model" => model.clone(), "backend" => backend, "outcome" => outcome)
        .increment(1);
    histogram!(DURATION, "route" => usage.route, "model" => model.clone()).record(usage.total.as_secs_f64());
    if let Some(first) = usage.first_token {
        histogram!(FIRST_TOKEN, "model" => model.clone()).record(first.as_secs_f64());
    }
    counter!(TOKENS, "model" => model.clone(), "direction" => "in").increment(usage.tally.tokens_in);
    counter!(TOKENS, "model" => model, "direction" => "out").increment(usage.tally.tokens_out);
}

/// Writes what is held and how everybody is, as it stands now.
pub(crate) fn gauges(permits: &crate::routing::Permits, fleet: &crate::routing::Fleet) {
    gauge!(OPEN).set(permits.open() as f64);
    gauge!(HELD).set(permits.held() as f64);
    gauge!(LEAKED).set(permits.leaked() as f64);
    for model in fleet.active() {
        gauge!(WAITING, "model" => model.name.clone()).set(model.admission.load().0 as f64);
    }
    for backend in &fleet.backends {
        let name = backend.name().to_owned();
        gauge!(OUTSTANDING, "backend" => name.clone()).set(backend.outstanding() as f64);
        if let Some(healthy) = backend.seen().healthy {
            gauge!(HEALTHY, "backend" => name).set(f64::from(u8::from(healthy)));
        }
    }
}
