//! Starting, stopping and restarting a service, each answered once it has happened.

use super::access::{unanswered, unexpected};
use super::refusal::{explained, refusal};
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::control::{Answer, Order, ServiceName, ServiceView, ServiceWant};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a start is waited for.
const START: Duration = Duration::from_secs(120);
/// How long jobs may take to end before their service is stopped all the same.
const DRAIN: Duration = Duration::from_secs(30);
/// What stopping takes beyond the container's own grace.
const STOPPING: Duration = Duration::from_secs(10);

/// `POST /services/{name}/start`
pub(super) async fn start(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = ServiceName::from(input.path("name"));
    api.known_service(name.as_str(), false).await?;
    Ok(ok(&started(&api, &input, &name).await?))
}

/// `POST /services/{name}/stop`
pub(super) async fn stop(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = ServiceName::from(input.path("name"));
    api.known_service(name.as_str(), false).await?;
    Ok(ok(&stopped(&api, &input, &name).await?))
}

/// `POST /services/{name}/restart`
pub(super) async fn restart(api: Api, input: Input) -> Result<Response, ApiError> {
    let name = ServiceName::from(input.path("name"));
    api.known_service(name.as_str(), false).await?;
    let before = stopped(&api, &input, &name).await?;
    if before["status"] == "stopping" {
        return Err(ApiError::conflict(format!("Service '{name}' did not stop; see GET /services/{name}")));
    }
    let mut after = started(&api, &input, &name).await?;
    after["previous_status"] = before["status"].clone();
    after["drained"] = (before["drained"] == true).into();
    Ok(ok(&after))
}

async fn started(api: &Api, input: &Input, name: &ServiceName) -> Result<Value, ApiError> {
    let began = Instant::now();
    let before = service(api.order(Order::StartService { name: name.clone() }, input).await?, name)?;
    if before.container_running && before.healthy {
        return Ok(json!({"service": name, "status": "already_running", "healthy": true}));
    }
    let after = when(api, name, ServiceWant::Up, START).await?;
    if !after.container_running {
        let why = after.last_error.unwrap_or_else(|| "it stopped again".to_owned());
        return Err(explained(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "start_failed", "hint": why})));
    }
    let mut shown = if before.container_running {
        json!({"service": name, "status": "already_running"})
    } else {
        let seconds = super::view::tenths(began.elapsed().as_secs_f64());
        json!({"service": name, "status": "started", "startup_time_s": seconds})
    };
    shown["healthy"] = after.healthy.into();
    if !after.healthy {
        shown["warning"] = format!("Health check timed out after {}s", began.elapsed().as_secs()).into();
    }
    Ok(shown)
}

async fn stopped(api: &Api, input: &Input, name: &ServiceName) -> Result<Value, ApiError> {
    let drain = input.flag("drain");
    let before = service(api.order(Order::StopService { name: name.clone(), drain }, input).await?, name)?;
    if !before.container_running {
        return Ok(json!({"service": name, "status": "already_stopped"}));
    }
    let grace = Duration::from_millis(before.record.more.stop_grace_ms);
    let within = grace + STOPPING + if drain { DRAIN } else { Duration::ZERO };
    let after = when(api, name, ServiceWant::Down, within).await?;
    let cut_off = cut_off(api, &before).await?;
    let drained = drain && !before.active_jobs.is_empty() && cut_off == 0;
    if after.container_running {
        let warning = format!("it has not stopped after {}s and is still being stopped", within.as_secs());
        return Ok(json!({"service": name, "status": "stopping", "drained": drained, "warning": warning}));
    }
    let mut shown = json!({"service": name, "status": "stopped", "drained": drained});
    if cut_off > 0 {
        shown["warning"] = format!(
            "jobs that had not ended and are queued again: {cut_off}; they may start it again, unless it is disabled"
        )
        .into();
    }
    Ok(shown)
}

/// How many of the jobs that were running have not ended by themselves: they were cut off and are in the queue again.
async fn cut_off(api: &Api, before: &ServiceView) -> Result<usize, ApiError> {
    let mut count = 0;
    for job in &before.active_jobs {
        let found = api.control().job_view(job, api.config.scheduler_patience).await;
        let found = found.map_err(|error| unanswered(&error))?;
        count += usize::from(found.is_some_and(|view| !view.status.is_terminal()));
    }
    Ok(count)
}

async fn when(api: &Api, name: &ServiceName, want: ServiceWant, within: Duration) -> Result<ServiceView, ApiError> {
    let (control, stop) = (api.control(), api.parts.stop.clone());
    let waited = tokio::select! {
        waited = control.service_when(name, want, within) => waited,
        () = stop.cancelled() => {
            return Err(ApiError::unavailable("the gateway stops; the service is started or stopped all the same"));
        }
    };
    waited.map_err(|error| unanswered(&error))?.ok_or_else(|| super::access::no_service(name.as_str()))
}

fn service(answer: Answer, name: &ServiceName) -> Result<ServiceView, ApiError> {
    match answer {
        Answer::Service(view) => Ok(*view),
        Answer::Refused(refused) => Err(refusal(refused, name.as_str())),
        other @ (Answer::Job(_) | Answer::Deleted(_) | Answer::Preempting { .. } | Answer::Released(_)) => {
            Err(unexpected(&other))
        }
    }
}
