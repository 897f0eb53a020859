//! `POST /queue/submit`: stored before it is answered, with its position if a scheduler says it in time.

use super::access::unanswered;
use super::{request, view};
use crate::error::ok;
use crate::input::{Input, Place, trace};
use crate::{Api, ApiError};
use axum::response::Response;
use bus::control::Submitted;
use domain::control::{Ask, JobRequest, JobState, JobView, Reply, WaitView};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an accepted job's position is waited for.
const POSITION: Duration = Duration::from_secs(1);
/// What the contract says of every wait.
const UNKNOWN_WAIT: &str = "depends on service availability";

/// Accepts a job, or with `dry_run` says what would become of it.
pub(super) async fn submit(api: Api, input: Input) -> Result<Response, ApiError> {
    let key = input.header("idempotency-key").or_else(|| input.text("idempotency_key"));
    let id = request::id(&api, key)?;
    let members = request::members(&input.raw);
    let payload = members.get("payload").copied();
    let wanted = request::job(&api, id, &input.body, payload, &[Place::from("body")])?;
    if input.flag("dry_run") {
        return dry_run(&api, &wanted).await;
    }
    let (sequence, repeated) = match api.control().submit(&wanted, &trace(&input)).await? {
        Submitted::Accepted { sequence, repeated } => (sequence, repeated),
        Submitted::Conflict => return Err(conflict()),
    };
    let within = POSITION.min(api.config.scheduler_patience);
    let seen = api.control().seen(&wanted.id, sequence, within).await?;
    Ok(ok(&accepted(&wanted, seen.as_ref(), repeated)))
}

/// The 409 of a key that was used for something else.
pub(super) fn conflict() -> ApiError {
    ApiError::conflict("another job was submitted under this idempotency key; use a new key")
}

fn accepted(wanted: &JobRequest, seen: Option<&JobView>, repeated: bool) -> Value {
    let waiting = seen.and_then(|view| view.waiting.as_ref());
    let mut shown = json!({
        "job_id": wanted.id,
        "position": seen.map(position),
        "estimated_wait": waiting.and_then(estimate).unwrap_or_else(|| UNKNOWN_WAIT.to_owned()),
        "status": seen.map(|view| view.status),
        "waiting": waiting,
        "repeated": repeated,
    });
    if seen.is_none() {
        shown["warning"] = "the job is stored; no scheduler answers now, it is taken in once one leads".into();
    }
    shown
}

/// Whoever does not wait any more was the first in line.
fn position(view: &JobView) -> u64 {
    let waiting = view.waiting.as_ref().filter(|_| view.status == JobState::Queued);
    waiting.and_then(|waiting| waiting.position_overall).unwrap_or(u64::from(!view.status.is_terminal()))
}

/// An estimate in words, once runtimes are known.
fn estimate(waiting: &WaitView) -> Option<String> {
    let seconds = |millis: u64| millis.div_ceil(1_000);
    Some(format!("{} to {} s", seconds(waiting.low_ms?), seconds(waiting.high_ms?)))
}

async fn dry_run(api: &Api, wanted: &JobRequest) -> Result<Response, ApiError> {
    let ask = Ask::DryRun {
        service_type: wanted.service_type.clone(),
        service_name: wanted.service_name.clone(),
        priority: wanted.priority,
    };
    let answered = api.control().ask(&ask, api.config.scheduler_patience).await.map_err(|error| unanswered(&error))?;
    let Reply::Job(would) = answered else {
        return Err(ApiError::refused(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "the scheduler answered another question",
        ));
    };
    let waiting = would.as_deref().and_then(|view| view.waiting.as_ref());
    Ok(ok(&json!({
        "dry_run": true,
        "would_start": waiting.is_none(),
        "position": waiting.map_or(Some(1), |waiting| waiting.position_overall),
        "estimated_wait": waiting.map(|waiting| estimate(waiting).unwrap_or_else(|| UNKNOWN_WAIT.to_owned())),
        "waiting": waiting,
        "job": would.as_deref().map(view::listed),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(low_ms: Option<u64>, high_ms: Option<u64>) -> WaitView {
        WaitView {
            position: Some(2),
            position_overall: Some(7),
            text: "why".to_owned(),
            reason: json!({"because": "busy"}),
            low_ms,
            high_ms,
        }
    }

    #[test]
    fn an_estimate_is_given_only_with_both_of_its_ends() {
        assert_eq!(estimate(&waiting(Some(1_500), Some(4_000))), Some("2 to 4 s".to_owned()));
        assert_eq!(estimate(&waiting(Some(1_500), None)), None);
    }

    #[test]
    fn a_job_that_no_scheduler_has_seen_is_accepted_without_a_position() {
        let payload = serde_json::value::RawValue::from_string("1".to_owned()).unwrap();
        let wanted = JobRequest::new("j".into(), "t".into(), payload, crate::api::now());
        let shown = accepted(&wanted, None, false);
        assert_eq!((&shown["job_id"], &shown["position"]), (&json!("j"), &Value::Null));
        assert_eq!(shown["estimated_wait"], "depends on service availability");
        assert!(shown["warning"].as_str().is_some_and(|text| text.contains("no scheduler")));
    }
}
