//! One job: shown, waited for, explained, cancelled, resumed, given another priority.

use super::access::{no_job, unanswered, unexpected};
use super::refusal::refusal;
use super::view;
use crate::error::{ok, raw_json};
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::control::{Answer, JobId, JobState, JobView, Order};
use http::StatusCode;
use serde_json::json;
use std::time::Duration;

/// `GET /queue/{job_id}`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    let id = JobId::from(input.path("job_id"));
    let wait = Duration::from_secs(input.count("wait_s"));
    let (control, patience) = (api.control(), api.config.scheduler_patience);
    let found = if wait.is_zero() {
        control.job(&id, patience).await
    } else {
        tokio::select! {
            ended = control.job_at_end(&id, wait) => ended,
            () = api.parts.stop.cancelled() => control.job(&id, patience).await,
        }
    };
    let found = found.map_err(|error| unanswered(&error))?.ok_or_else(|| no_job(id.as_str()))?;
    Ok(ok(&view::detail(&found)))
}

/// `GET /queue/{job_id}/result`: what the service answered, as it answered it. In the job itself it is a text.
pub(super) async fn result(api: Api, input: Input) -> Result<Response, ApiError> {
    let id = JobId::from(input.path("job_id"));
    let found = api.control().job(&id, api.config.scheduler_patience).await;
    let found = found.map_err(|error| unanswered(&error))?.ok_or_else(|| no_job(id.as_str()))?;
    match found.result.filter(|_| found.view.status == JobState::Completed) {
        Some(result) => Ok(raw_json(StatusCode::OK, result.get().as_bytes().to_vec())),
        None => Err(ApiError::conflict(without_result(&found.view))),
    }
}

fn without_result(view: &JobView) -> String {
    let status = view.status.as_str();
    match &view.error {
        Some(error) if view.status.is_terminal() => format!("Job is {status}, not completed: {error}"),
        Some(_) | None => format!("Job is {status}, not completed"),
    }
}

/// `GET /queue/{job_id}/explain`
pub(super) async fn explain(api: Api, input: Input) -> Result<Response, ApiError> {
    let found = api.known_job(input.path("job_id")).await?;
    let text = match &found.waiting {
        Some(waiting) => waiting.text.clone(),
        None => format!("the job is {}", found.status.as_str()),
    };
    Ok(ok(&json!({
        "job_id": found.id,
        "status": found.status,
        "service_type": found.service_type,
        "service_name": found.service_name,
        "priority": found.priority,
        "text": text,
        "waiting": found.waiting,
        "retry_at": found.retry_at,
        "error": found.error,
    })))
}

/// `DELETE /queue/{job_id}`
pub(super) async fn cancel(api: Api, input: Input) -> Result<Response, ApiError> {
    let job = JobId::from(input.path("job_id"));
    let after = changed(&api, &input, Order::CancelJob { job, running: input.flag("running") }).await?;
    Ok(ok(&json!({"job_id": after.id, "cancelled": true, "status": after.status, "cancelling": after.cancelling})))
}

/// `PUT /queue/{job_id}/priority`
pub(super) async fn prioritise(api: Api, input: Input) -> Result<Response, ApiError> {
    let job = JobId::from(input.path("job_id"));
    let priority = input.integer("priority").and_then(|number| i32::try_from(number).ok()).unwrap_or_default();
    Ok(ok(&view::listed(&changed(&api, &input, Order::SetPriority { job, priority }).await?)))
}

/// `POST /queue/{job_id}/resume`
pub(super) async fn resume(api: Api, input: Input) -> Result<Response, ApiError> {
    let job = JobId::from(input.path("job_id"));
    Ok(ok(&view::listed(&changed(&api, &input, Order::ResumeJob { job }).await?)))
}

/// Carries out an order about the job of the path.
pub(super) async fn changed(api: &Api, input: &Input, order: Order) -> Result<JobView, ApiError> {
    match api.order(order, input).await? {
        Answer::Job(view) => Ok(*view),
        Answer::Refused(refused) => Err(refusal(refused, input.path("job_id"))),
        other @ (Answer::Service(_) | Answer::Deleted(_) | Answer::Preempting { .. } | Answer::Released(_)) => {
            Err(unexpected(&other))
        }
    }
}

impl Api {
    /// A job that has to be there, with why it waits.
    pub(super) async fn known_job(&self, id: &str) -> Result<JobView, ApiError> {
        let found = self.control().job_view(&JobId::from(id), self.config.scheduler_patience).await;
        found.map_err(|error| unanswered(&error))?.ok_or_else(|| no_job(id))
    }
}
