//! The control plane's part of the table of operations.

use super::{
    availability, batch, events, fields, gpu, jobs, lifecycle, listing, preempt, progress, registry, shapes, submit,
    telemetry, told,
};
use crate::operation::{Handler, Operation};
use futures::FutureExt;
use http::Method;

macro_rules! handler {
    ($path:path) => {
        |api, input| $path(api, input).boxed()
    };
}

/// Every operation of the control plane.
pub(crate) fn operations() -> Vec<Operation> {
    [machine(), registered(), running(), submitting(), reading(), steering(), preempting(), following()]
        .concat()
        .into_iter()
        .map(|operation| {
            let (answer, events) = (shapes::answer(operation.id), told::events(operation.id));
            operation.answers(answer).tells(events)
        })
        .collect()
}

fn of(method: Method, path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Operation {
    Operation::new(method, path, id, summary, handler)
}

fn get(path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Operation {
    of(Method::GET, path, id, summary, handler)
}

fn post(path: &'static str, id: &'static str, summary: &'static str, handler: Handler) -> Operation {
    of(Method::POST, path, id, summary, handler)
}

fn machine() -> Vec<Operation> {
    vec![
        get("/health", "control_health", "Whether the gateway answers", handler!(gpu::health)),
        get("/gpu", "get_gpu", "All GPUs in one, and each as its host reports it", handler!(gpu::gpu)),
        get("/vram", "get_vram", "GPU memory: used, free, and who holds it", handler!(gpu::vram)),
        get(
            "/available/{service_type}",
            "get_available",
            "Whether a type of work is done here now",
            handler!(availability::available),
        )
        .query(fields::AVAILABLE),
    ]
}

fn registered() -> Vec<Operation> {
    vec![
        post("/services/register", "register_service", "Register a service", handler!(registry::add))
            .body(fields::REGISTER),
        get("/services", "list_services", "How all services stand", handler!(registry::list)).query(fields::SERVICES),
        get("/services/{name}", "get_service", "How a service stands", handler!(registry::get)),
        get("/services/{name}/record", "get_service_record", "A service's registration", handler!(registry::record)),
        of(Method::PUT, "/services/{name}", "update_service", "Change a registration", handler!(registry::update))
            .body(fields::UPDATE),
        of(Method::DELETE, "/services/{name}", "delete_service", "Remove a registration", handler!(registry::remove)),
        post("/services/{name}/enable", "enable_service", "Let a service take jobs", handler!(registry::enable)),
        post("/services/{name}/disable", "disable_service", "Let a service take no jobs", handler!(registry::disable)),
    ]
}

fn running() -> Vec<Operation> {
    vec![
        post("/services/{name}/start", "start_service", "Start a service", handler!(lifecycle::start)),
        post("/services/{name}/stop", "stop_service", "Stop a service", handler!(lifecycle::stop)).query(fields::STOP),
        post("/services/{name}/restart", "restart_service", "Stop and start a service", handler!(lifecycle::restart))
            .query(fields::STOP),
    ]
}

fn submitting() -> Vec<Operation> {
    vec![
        post("/queue/submit", "submit_job", "Submit a job", handler!(submit::submit))
            .body(fields::SUBMIT)
            .query(fields::SUBMITTING)
            .headers(&["Idempotency-Key"]),
        post("/queue/batch", "submit_jobs", "Submit up to 1,000 jobs", handler!(batch::submit))
            .body(fields::BATCH)
            .headers(&["Idempotency-Key"]),
    ]
}

fn reading() -> Vec<Operation> {
    vec![
        get("/queue", "list_jobs", "Jobs, newest first", handler!(listing::list)).query(fields::LIST),
        get("/queue/stats", "get_queue_stats", "The queue in numbers", handler!(listing::stats)),
        get("/queue/{job_id}", "get_job", "A job, now or once it has ended", handler!(jobs::get))
            .query(fields::JOB_GET),
        get("/queue/{job_id}/result", "get_job_result", "What a job's service answered", handler!(jobs::result)),
        get("/queue/{job_id}/explain", "explain_job", "Why a job waits", handler!(jobs::explain)),
        get("/queue/{job_id}/progress", "get_job_progress", "How far a job is", handler!(progress::get)),
    ]
}

fn steering() -> Vec<Operation> {
    vec![
        of(Method::DELETE, "/queue/{job_id}", "cancel_job", "Cancel a job", handler!(jobs::cancel))
            .query(fields::CANCEL),
        of(
            Method::PUT,
            "/queue/{job_id}/priority",
            "set_job_priority",
            "Change a queued job's priority",
            handler!(jobs::prioritise),
        )
        .body(fields::PRIORITY),
        post("/queue/{job_id}/resume", "resume_job", "Put a paused job back in the queue", handler!(jobs::resume)),
        post("/queue/{job_id}/progress", "report_job_progress", "Say how far a job is", handler!(progress::report))
            .query(fields::ATTEMPT)
            .body(fields::PROGRESS),
    ]
}

fn preempting() -> Vec<Operation> {
    vec![
        get("/preempt/check/{service}", "check_preemption", "Whether a service is busy", handler!(preempt::check)),
        post("/preempt/execute", "execute_preemption", "Make a running job give way", handler!(preempt::execute))
            .body(fields::PREEMPT),
        post(
            "/preempt/release/{service}",
            "release_preempted",
            "Put every paused job of a service's type back in the queue",
            handler!(preempt::release),
        ),
    ]
}

fn following() -> Vec<Operation> {
    vec![
        get("/queue/events", "stream_events", "What happens to jobs and services", handler!(events::all))
            .query(fields::EVENTS)
            .headers(&["Last-Event-ID"])
            .produces("text/event-stream"),
        get("/gpu/events", "stream_gpus", "What GPU hosts say, as they say it", handler!(telemetry::events))
            .query(fields::HEARTBEAT)
            .produces("text/event-stream"),
        get("/queue/{job_id}/events", "stream_job_events", "What happens to a job", handler!(events::of_job))
            .query(fields::EVENTS)
            .headers(&["Last-Event-ID"])
            .produces("text/event-stream"),
    ]
}
