//! `GET /queue/stats` and `GET /queue`: the queue in numbers and in pages.

use super::access::unanswered;
use super::view;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::Object;
use domain::control::{JobFilter, JobState};
use serde_json::json;

/// `GET /queue/stats`
pub(super) async fn stats(api: Api, _: Input) -> Result<Response, ApiError> {
    let overview = api.control().overview(api.config.scheduler_patience).await.map_err(|error| unanswered(&error))?;
    let of = |state: JobState| overview.jobs.get(state.as_str()).copied().unwrap_or(0);
    let by_priority: Object =
        overview.queued_by_priority.iter().map(|(priority, count)| (format!("P{priority}"), (*count).into())).collect();
    Ok(ok(&json!({
        "total_queued": of(JobState::Queued),
        "total_running": of(JobState::Running),
        "by_type": overview.queued_by_type,
        "by_priority": by_priority,
        "by_status": overview.jobs,
        "leader": overview.leader,
    })))
}

/// `GET /queue`
pub(super) async fn list(api: Api, input: Input) -> Result<Response, ApiError> {
    let filter = JobFilter {
        states: states(input.word("status"))?,
        service_type: input.word("type").map(Into::into),
        service_name: input.word("service").map(Into::into),
        before: cursor(input.word("cursor"))?,
        limit: usize::try_from(input.count("limit")).unwrap_or(1),
        urgent: urgent(input.word("sort"))?,
        explain: input.flag("explain"),
    };
    let listed = api.control().jobs(filter, api.config.scheduler_patience).await;
    let (jobs, next) = listed.map_err(|error| unanswered(&error))?;
    let jobs: Vec<_> = jobs.iter().map(view::listed).collect();
    Ok(ok(&json!({"jobs": jobs, "next_cursor": next.map(|place| place.to_string())})))
}

/// States separated by commas.
fn states(text: Option<&str>) -> Result<Vec<JobState>, ApiError> {
    let words = text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            JobState::parse(word).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "status '{word}' is none of queued, running, paused, completed, failed, cancelled and expired"
                ))
            })
        })
        .collect()
}

fn urgent(text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("newest") => Ok(false),
        Some("urgent") => Ok(true),
        Some(other) => Err(ApiError::bad_request(format!("sort '{other}' is neither newest nor urgent"))),
    }
}

fn cursor(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let read = |text: &str| text.parse().map_err(|_| ApiError::bad_request("cursor is not one that a page ended with"));
    text.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_cursors_are_read_or_refused() {
        assert_eq!(states(Some("queued, failed")).unwrap(), [JobState::Queued, JobState::Failed]);
        assert!(states(Some("done")).is_err());
        assert_eq!(states(None).unwrap(), []);
        assert_eq!(cursor(Some("12")).unwrap(), Some(12));
        assert!(cursor(Some("-1")).is_err());
        assert!(urgent(Some("urgent")).unwrap() && !urgent(None).unwrap() && urgent(Some("old")).is_err());
    }
}
