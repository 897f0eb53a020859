//! The scheduler's refusals in the contract's codes and words.

use super::access::{no_job, no_service};
use crate::ApiError;
use domain::Object;
use domain::control::{Refused, RefusedKind};
use http::StatusCode;
use serde_json::{Value, json};

/// The answer to an order about a job or service that was not carried out.
pub(super) fn refusal(refused: Refused, about: &str) -> ApiError {
    let status = refused.job.map_or("unknown", |state| state.as_str());
    match refused.kind {
        RefusedKind::UnknownJob => no_job(about),
        RefusedKind::UnknownService => no_service(about),
        RefusedKind::ServiceExists => ApiError::conflict(format!("Service '{about}' already exists")),
        RefusedKind::JobRunning => {
            ApiError::conflict("Cannot cancel a running job — use /preempt/execute to preempt it.")
        }
        RefusedKind::JobEnded => ApiError::conflict(format!("Job is already {status}")),
        RefusedKind::JobNotRunning => ApiError::conflict(format!("Job is {status}, not running")),
        RefusedKind::JobNotQueued => ApiError::conflict(format!("Job is {status}, not queued")),
        RefusedKind::JobNotPaused => ApiError::conflict(format!("Job is {status}, not paused")),
        RefusedKind::NoNode => ApiError::unavailable("Docker not available"),
        RefusedKind::NoActiveJob => {
            explained(StatusCode::CONFLICT, &json!({"error": "no_active_job", "service": about}))
        }
        RefusedKind::NoContainer => {
            explained(StatusCode::NOT_FOUND, &json!({"error": "container_not_found", "hint": refused.text}))
        }
        RefusedKind::ServiceHasActiveJobs => {
            explained(StatusCode::CONFLICT, &json!({"error": "service_has_active_jobs", "hint": refused.text}))
        }
        RefusedKind::InsufficientVram => explained(StatusCode::CONFLICT, &insufficient(refused)),
        RefusedKind::Invalid => ApiError::bad_request(refused.text),
        RefusedKind::JobExists | RefusedKind::OtherType | RefusedKind::Superseded => ApiError::conflict(refused.text),
    }
}

fn insufficient(refused: Refused) -> Value {
    let mut detail = json!({"error": "insufficient_vram"});
    if let Some(detail) = detail.as_object_mut() {
        detail.extend(refused.numbers.unwrap_or_default());
        detail.insert("hint".to_owned(), refused.text.into());
    }
    detail
}

/// A status with an object.
pub(super) fn explained(status: StatusCode, detail: &Value) -> ApiError {
    let detail: Object = detail.as_object().cloned().unwrap_or_default();
    ApiError::explained(status, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::control::JobState;

    fn of(kind: RefusedKind, job: Option<JobState>) -> ApiError {
        let numbers = json!({"required_mb": 20480, "available_mb": 16372}).as_object().cloned();
        refusal(Refused { kind, text: "why".to_owned(), job, numbers }, "x")
    }

    #[test]
    fn refusals_have_the_contracts_codes_and_words() {
        let words = |error: ApiError| match error {
            ApiError::Refused { status, detail } => (status.as_u16(), detail),
            ApiError::Explained { status, detail } => (status.as_u16(), Value::Object(detail).to_string()),
            ApiError::Invalid(issues) => panic!("{issues:?}"),
        };
        let ended = words(of(RefusedKind::JobEnded, Some(JobState::Cancelled)));
        assert_eq!(ended, (409, "Job is already cancelled".to_owned()));
        let idle = words(of(RefusedKind::JobNotRunning, Some(JobState::Completed)));
        assert_eq!(idle, (409, "Job is completed, not running".to_owned()));
        assert_eq!(words(of(RefusedKind::UnknownJob, None)), (404, "Job not found: x".to_owned()));
        assert_eq!(words(of(RefusedKind::UnknownService, None)), (404, "Unknown service: x".to_owned()));
        assert_eq!(words(of(RefusedKind::NoNode, None)), (503, "Docker not available".to_owned()));
        let (status, detail) = words(of(RefusedKind::InsufficientVram, None));
        assert_eq!(status, 409);
        assert!(
            detail.starts_with(r#"{"error":"insufficient_vram","required_mb":20480,"available_mb":16372"#),
            "{detail}"
        );
        let idle = words(of(RefusedKind::NoActiveJob, None));
        assert_eq!(idle, (409, r#"{"error":"no_active_job","service":"x"}"#.to_owned()));
    }
}
