//! Services and jobs in the contract's shapes, with further keys behind the contract's own.

use domain::Object;
use domain::control::{JobDetail, JobState, JobView, ServiceRecord, ServiceState, ServiceView};
use serde_json::{Value, json};

/// A registration. Values of environment variables may be keys, so they are not shown.
pub(super) fn record(record: &ServiceRecord) -> Value {
    let mut shown = json!({
        "name": record.name,
        "container": record.container,
        "port": record.port,
        "health_endpoint": record.health_endpoint,
        "type": record.service_type,
        "description": record.description,
        "vram_gb": record.vram_gb,
        "progress_mode": record.progress_mode,
        "progress_endpoint": record.progress_endpoint,
        "enabled": record.enabled,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "url": record.url,
    });
    let mut more = serde_json::to_value(&record.more).unwrap_or_default();
    if let Some(variables) = more.pointer_mut("/definition/env").and_then(Value::as_object_mut) {
        variables.values_mut().for_each(|value| *value = HIDDEN.into());
    }
    if let Some(priority) = more.as_object_mut().and_then(|more| more.remove("priority")) {
        shown["eviction_priority"] = priority;
    }
    extend(&mut shown, more);
    shown
}

/// What stands in the place of a value that may be a key.
pub(super) const HIDDEN: &str = "***";

/// How a service stands.
pub(super) fn status(view: &ServiceView) -> Value {
    json!({
        "container": view.record.container,
        "type": view.record.service_type,
        "description": view.record.description,
        "vram_gb": view.record.vram_gb,
        "enabled": view.record.enabled,
        "container_running": view.container_running,
        "healthy": view.healthy,
        "port": view.record.port,
        "response_time_ms": view.response_time_ms.map(tenths),
        "scheduler_status": scheduler_word(view.state),
        "active_job_id": view.active_jobs.first(),
        "name": view.record.name,
        "state": view.state,
        "active_jobs": view.active_jobs,
        "max_concurrency": view.record.more.max_concurrency,
        "url": view.record.url,
        "node": view.node,
        "gpus": view.devices,
        "reserved_mb": view.reserved_mb,
        "learned_peak_mb": view.learned_peak_mb,
        "idle_since": view.idle_since,
        "failed_starts": view.failed_starts,
        "last_error": view.last_error,
        "retry_at": view.retry_at,
        "last_start_ms": view.last_start_ms,
    })
}

/// The contract has five words; what is up or down is told by `container_running` and `healthy`.
pub(super) fn scheduler_word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Starting | ServiceState::Busy | ServiceState::Draining | ServiceState::Stopping => state.as_str(),
        ServiceState::Stopped | ServiceState::Idle | ServiceState::Unhealthy | ServiceState::Lost => "idle",
    }
}

/// A job with everything of it. Payload, result and snapshot are texts that hold JSON, as clients expect.
pub(super) fn detail(detail: &JobDetail) -> Value {
    let view = &detail.view;
    let reported =
        || view.progress.as_ref().filter(|_| view.preempt_count > 0).map(|all| Value::Object(all.clone()).to_string());
    let snapshot = detail.snapshot.as_ref().map(|text| text.get().to_owned()).or_else(reported);
    let mut shown = job(view);
    shown["payload"] = detail.payload.get().into();
    shown["result"] = detail.result.as_ref().map(|text| text.get()).into();
    shown["progress_snapshot"] = snapshot.into();
    shown
}

/// A job in the order of the contract's columns; what is only stored elsewhere is null.
pub(super) fn job(view: &JobView) -> Value {
    let mut shown = json!({
        "id": view.id,
        "service_type": view.service_type,
        "service_name": view.service_name,
        "priority": view.priority,
        "status": view.status,
        "payload": null,
        "callback_url": view.callback_url,
        "result": null,
        "created_at": view.created_at,
        "started_at": view.started_at,
        "completed_at": view.completed_at,
        "paused_at": view.paused_at,
        "error": view.error,
        "ttl_seconds": view.ttl_seconds,
        "attempts": view.attempts,
        "max_attempts": view.max_attempts,
        "paused_by_job_id": view.paused_by_job_id,
        "progress_snapshot": null,
        "preempt_count": view.preempt_count,
        "failures": view.failures,
        "pinned": view.pinned,
        "cancelling": view.cancelling,
        "deadline": view.deadline,
        "retry_at": view.retry_at,
        "progress": view.progress,
    });
    let position =
        view.waiting.as_ref().filter(|_| view.status == JobState::Queued).and_then(|wait| wait.position_overall);
    if let Some(position) = position {
        shown["position"] = position.into();
    }
    if let Some(waiting) = &view.waiting {
        shown["waiting"] = json!(waiting);
    }
    shown
}

/// A job of a list: what only the job itself is asked for is left out.
pub(super) fn listed(view: &JobView) -> Value {
    let mut shown = job(view);
    if let Some(keys) = shown.as_object_mut() {
        keys.retain(|key, _| !["payload", "result", "progress_snapshot"].contains(&key.as_str()));
    }
    shown
}

/// One digit behind the point.
pub(super) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn extend(shown: &mut Value, more: Value) {
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        let more: Object = more;
        shown.extend(more);
    }
}
