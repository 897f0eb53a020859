//! `/preempt`: whether a service is busy, making its job give way, and putting paused jobs back.

use super::access::{no_service, unanswered, unexpected};
use super::refusal::refusal;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::control::{Answer, JobFilter, JobId, JobState, JobView, Order, RefusedKind, ServiceName, ServiceView};
use serde_json::json;

/// Pages of queued jobs that are looked through for the most urgent one.
const PAGES: usize = 16;

/// `GET /preempt/check/{service}`
pub(super) async fn check(api: Api, input: Input) -> Result<Response, ApiError> {
    let view = api.known_service(input.path("service"), false).await?;
    let Some(running) = least_urgent(&api, &view).await? else {
        return Ok(ok(&json!({"preemptable": false, "reason": "service_not_busy", "service": view.record.name})));
    };
    let mut shown = json!({
        "preemptable": true,
        "service": view.record.name,
        "active_job_id": running.id,
        "scheduler_status": super::view::scheduler_word(view.state),
        "running_job_priority": running.priority,
        "running_job_service_type": running.service_type,
    });
    if let Some(queued) = most_urgent(&api, &view).await? {
        shown["highest_queued"] =
            json!({"job_id": queued.id, "priority": queued.priority, "service_type": queued.service_type});
    }
    Ok(ok(&shown))
}

/// `POST /preempt/execute`
pub(super) async fn execute(api: Api, input: Input) -> Result<Response, ApiError> {
    let required = |name: &str| ApiError::bad_request(format!("{name} is required"));
    let service = input.text("service_name").filter(|text| !text.is_empty()).ok_or_else(|| required("service_name"))?;
    let by = input.text("preemptor_job_id").filter(|text| !text.is_empty());
    let Some(by) = by else {
        api.known_service(service, false).await?;
        return Err(required("preemptor_job_id"));
    };
    let order = Order::Preempt { service: ServiceName::from(service), by: JobId::from(by) };
    match api.order(order, &input).await? {
        Answer::Preempting { job, by, progress_saved } => Ok(ok(&json!({
            "preempted_job_id": job.id,
            "preemptor_job_id": by,
            "service": service,
            "progress_saved": progress_saved,
        }))),
        Answer::Refused(refused) if refused.kind == RefusedKind::UnknownJob => {
            Err(ApiError::not_found(format!("Preemptor job not found: {by}")))
        }
        Answer::Refused(refused) if refused.kind == RefusedKind::JobNotQueued => {
            let status = refused.job.map_or("unknown", JobState::as_str);
            Err(ApiError::conflict(format!("Preemptor job must be queued, is {status}")))
        }
        Answer::Refused(refused) => Err(refusal(refused, service)),
        other @ (Answer::Job(_) | Answer::Service(_) | Answer::Deleted(_) | Answer::Released(_)) => {
            Err(unexpected(&other))
        }
    }
}

/// `POST /preempt/release/{service}`
pub(super) async fn release(api: Api, input: Input) -> Result<Response, ApiError> {
    let service = ServiceName::from(input.path("service"));
    match api.order(Order::Release { service: service.clone() }, &input).await? {
        Answer::Released(jobs) => Ok(ok(&json!({"service": service, "count": jobs.len(), "resumed_jobs": jobs}))),
        Answer::Refused(refused) if refused.kind == RefusedKind::UnknownService => Err(no_service(service.as_str())),
        Answer::Refused(refused) => Err(refusal(refused, service.as_str())),
        other @ (Answer::Job(_) | Answer::Service(_) | Answer::Deleted(_) | Answer::Preempting { .. }) => {
            Err(unexpected(&other))
        }
    }
}

/// The job that would give way first.
async fn least_urgent(api: &Api, view: &ServiceView) -> Result<Option<JobView>, ApiError> {
    let mut found: Option<JobView> = None;
    for job in &view.active_jobs {
        let next =
            api.control().job_view(job, api.config.scheduler_patience).await.map_err(|error| unanswered(&error))?;
        let Some(next) = next else { continue };
        if found.as_ref().is_none_or(|best| (next.priority, next.place) > (best.priority, best.place)) {
            found = Some(next);
        }
    }
    Ok(found)
}

/// The first of the jobs that wait for a service of that type.
async fn most_urgent(api: &Api, view: &ServiceView) -> Result<Option<JobView>, ApiError> {
    let mut filter = JobFilter {
        states: vec![JobState::Queued],
        service_type: Some(view.record.service_type.clone()),
        limit: 1_000,
        ..JobFilter::default()
    };
    let mut best: Option<JobView> = None;
    for _ in 0..PAGES {
        let page = api.control().jobs(filter.clone(), api.config.scheduler_patience).await;
        let (jobs, next) = page.map_err(|error| unanswered(&error))?;
        best = jobs.into_iter().chain(best).min_by_key(|job| (job.priority, job.place));
        match next {
            Some(place) => filter.before = Some(place),
            None => break,
        }
    }
    Ok(best)
}
