//! `POST /queue/batch`: many jobs in one request, all checked before the first is stored.

use super::request;
use super::submit::conflict;
use crate::error::ok;
use crate::input::{Input, Place, trace};
use crate::{Api, ApiError};
use axum::response::Response;
use bus::control::Submitted;
use domain::control::JobRequest;
use futures::{StreamExt, stream};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Jobs of one request.
const MOST: usize = 1_000;
/// Of them stored at once.
const AT_ONCE: usize = 64;

/// Accepts them all. Each answer stands at its job's place; one that could not be stored says why.
pub(super) async fn submit(api: Api, input: Input) -> Result<Response, ApiError> {
    let wanted = read(&api, &input)?;
    let trace = trace(&input);
    let stored: Vec<Value> = stream::iter(wanted)
        .map(|job| {
            let (control, trace) = (api.control(), trace.clone());
            async move {
                match control.submit(&job, &trace).await.map_err(ApiError::from) {
                    Ok(Submitted::Accepted { repeated, .. }) => json!({"job_id": job.id, "repeated": repeated}),
                    Ok(Submitted::Conflict) => failed(&job, &conflict()),
                    Err(error) => failed(&job, &error),
                }
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let accepted = stored.iter().filter(|one| one["error"].is_null()).count();
    Ok(ok(&json!({"jobs": stored, "accepted": accepted, "refused": stored.len() - accepted})))
}

fn failed(job: &JobRequest, error: &ApiError) -> Value {
    let why = match error {
        ApiError::Refused { detail, .. } => detail.clone(),
        ApiError::Explained { detail, .. } => Value::Object(detail.clone()).to_string(),
        ApiError::Invalid(issues) => json!(issues).to_string(),
    };
    json!({"job_id": job.id, "error": why, "status": error.status().as_u16()})
}

fn read(api: &Api, input: &Input) -> Result<Vec<JobRequest>, ApiError> {
    let members = request::members(&input.raw);
    let raws: Vec<HashMap<String, &RawValue>> =
        members.get("jobs").and_then(|jobs| serde_json::from_str(jobs.get()).ok()).unwrap_or_default();
    let jobs = input.list("jobs").map(Vec::as_slice).unwrap_or_default();
    if jobs.is_empty() || jobs.len() > MOST || raws.len() != jobs.len() {
        return Err(ApiError::bad_request(format!("jobs takes 1 to {MOST} jobs")));
    }
    let key = input.header("idempotency-key");
    let each = jobs.iter().zip(&raws).enumerate().map(|(index, (job, raw))| {
        let fields = job.as_object().cloned().unwrap_or_default();
        let own = fields.get("idempotency_key").and_then(Value::as_str).map(str::to_owned);
        let id = request::id(api, own.or_else(|| key.map(|key| format!("{key}#{index}"))).as_deref())?;
        let at = [Place::from("body"), Place::from("jobs"), Place::At(index)];
        request::job(api, id, &fields, raw.get("payload").copied(), &at).map_err(|error| at_place(error, index))
    });
    each.collect()
}

/// A refusal that names the job that it is about.
fn at_place(error: ApiError, index: usize) -> ApiError {
    match error {
        ApiError::Refused { status, detail } => ApiError::refused(status, format!("jobs[{index}]: {detail}")),
        other @ (ApiError::Explained { .. } | ApiError::Invalid(_)) => other,
    }
}
