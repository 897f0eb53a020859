//! `/queue/{job_id}/progress`: how far a job is, asked for and reported.

use super::jobs::changed;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::Object;
use domain::control::{JobId, Order};
use serde_json::json;
use serde_json::value::RawValue;

/// Bytes of a report; a snapshot may be as large as its message.
const MOST: usize = 64 * 1024;

/// `GET /queue/{job_id}/progress`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    let found = api.known_job(input.path("job_id")).await?;
    let progress = found.progress.filter(|_| !found.status.is_terminal());
    Ok(ok(&json!({
        "job_id": found.id,
        "status": found.status,
        "progress": progress,
        "preempt_count": found.preempt_count,
    })))
}

/// `POST /queue/{job_id}/progress`: any object. A member `snapshot` is kept aside, and given back when the job resumes.
pub(super) async fn report(api: Api, input: Input) -> Result<Response, ApiError> {
    let mut progress: Object = serde_json::from_slice(&input.raw).unwrap_or_default();
    let snapshot = snapshot(&input);
    progress.remove("snapshot");
    if serde_json::to_vec(&progress).map_or(MOST + 1, |bytes| bytes.len()) > MOST {
        return Err(ApiError::too_large(format!(
            "progress is more than {MOST} bytes; large state belongs into `snapshot`"
        )));
    }
    let job = JobId::from(input.path("job_id"));
    let attempt = input.integer("attempt").and_then(|number| u32::try_from(number).ok());
    changed(&api, &input, Order::ReportProgress { job, attempt, progress, snapshot }).await?;
    Ok(ok(&json!({"ok": true})))
}

fn snapshot(input: &Input) -> Option<Box<RawValue>> {
    input.value("snapshot")?;
    super::request::members(&input.raw).get("snapshot").map(|raw| (*raw).to_owned())
}
