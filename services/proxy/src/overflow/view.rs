//! A job as its caller sees it.

use super::{Overflow, away};
use crate::error::ProxyError;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use bytes::Bytes;
use domain::Time;
use domain::deferred::{DeferredJob, DeferredResponse, DeferredStatus};
use domain::notices::{Callback, CallbackBody};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Bytes of an answer that a callback carries; a larger one is to be fetched.
const CALLBACK_BYTES: u64 = 1024 * 1024;

/// Everything but the answer.
pub(super) fn job(overflow: &Overflow, job: &DeferredJob) -> Value {
    let seconds = |at: Option<Time>| at.map(|at| at.as_micros().div_euclid(1_000_000));
    let waits = job.status == DeferredStatus::Queued;
    json!({
        "id": job.id,
        "object": "job",
        "status": job.status.as_str(),
        "model": job.model,
        "endpoint": job.path,
        "attempt": job.attempt,
        "position": overflow.board.position(job),
        "waiting_for": job.because.as_ref().filter(|_| waits),
        "created_at": seconds(Some(job.created_at)),
        "expires_at": seconds(Some(job.expires_at)).filter(|_| waits),
        "started_at": seconds(job.started_at),
        "ended_at": seconds(job.ended_at),
        "request_id": job.request_id,
        "callback_url": job.callback_url,
        "status_code": job.response.as_ref().map(|response| response.status_code),
        "error": error(job),
    })
}

fn error(job: &DeferredJob) -> Option<Value> {
    let code = match job.status {
        DeferredStatus::Failed if job.response.is_some() => "request_failed",
        DeferredStatus::Failed => "attempts_lost",
        DeferredStatus::Expired => "job_expired",
        DeferredStatus::Queued | DeferredStatus::Running | DeferredStatus::Completed | DeferredStatus::Cancelled => {
            return None;
        }
    };
    Some(json!({"message": job.because, "type": "job_error", "param": null, "code": code}))
}

/// All of it: the answer stands in it byte for byte if it is JSON, else as text or in base64, and it says which.
pub(super) async fn whole(overflow: &Overflow, job: &DeferredJob) -> Result<String, ProxyError> {
    let mut text = self::job(overflow, job).to_string();
    let response = match &job.response {
        Some(response) => answer(response, body(overflow, job, response).await?.as_ref(), &job.request_id),
        None => "null".to_owned(),
    };
    text.truncate(text.len() - 1);
    text.push_str(&format!(",\"response\":{response}}}"));
    Ok(text)
}

async fn body(
    overflow: &Overflow,
    job: &DeferredJob,
    response: &DeferredResponse,
) -> Result<Option<Bytes>, ProxyError> {
    overflow.jobs.body(&job.id, &response.body).await.map_err(away)
}

fn answer(response: &DeferredResponse, body: Option<&Bytes>, request_id: &str) -> String {
    let headers = json!({"content-type": response.content_type, "x-request-id": request_id});
    let (encoding, body) = match body {
        None => (Value::Null, "null".to_owned()),
        Some(body) => match (serde_json::from_slice::<&RawValue>(body), std::str::from_utf8(body)) {
            (Ok(raw), _) if response.content_type.contains("json") => (json!("json"), raw.get().to_owned()),
            (_, Ok(text)) if !is_binary(&response.content_type) => (json!("text"), json!(text).to_string()),
            (_, Ok(_) | Err(_)) => {
                (json!("base64"), json!(base64::engine::general_purpose::STANDARD.encode(body)).to_string())
            }
        },
    };
    let status = response.status_code;
    format!("{{\"status_code\":{status},\"headers\":{headers},\"body_encoding\":{encoding},\"body\":{body}}}")
}

/// Whether it is no text, although its bytes may look like one.
fn is_binary(content_type: &str) -> bool {
    ["audio/", "image/", "video/", "application/octet-stream"].iter().any(|kind| content_type.starts_with(kind))
}

/// The answer as the model server gave it: status, type and bytes.
pub(super) async fn bare(overflow: &Overflow, job: &DeferredJob) -> Result<Response, ProxyError> {
    let none = || ProxyError::NoAnswer { id: job.id.clone(), status: job.status.as_str() };
    let answer = job.response.as_ref().filter(|_| job.status.is_end()).ok_or_else(none)?;
    let mut response = Response::new(Body::from(body(overflow, job, answer).await?.ok_or_else(none)?));
    *response.status_mut() = StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
    if let Ok(kind) = HeaderValue::from_str(&answer.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(response)
}

/// What is told at the end, if somebody wants to be told.
pub(super) async fn callback(overflow: &Overflow, job: &DeferredJob) -> Result<Option<Callback>, ProxyError> {
    let Some(url) = &job.callback_url else { return Ok(None) };
    let result = match &job.response {
        Some(response) if response.body.bytes <= CALLBACK_BYTES => {
            Some(answer(response, body(overflow, job, response).await?.as_ref(), &job.request_id))
        }
        // What is too large to be sent is fetched.
        Some(response) => Some(answer(response, None, &job.request_id)),
        None => None,
    };
    let body = CallbackBody {
        job_id: job.id.clone(),
        status: job.status.as_str().to_owned(),
        result: result.and_then(|text| RawValue::from_string(text).ok()),
        error: job.because.clone().filter(|_| job.status != DeferredStatus::Completed),
        timestamp: job.ended_at.unwrap_or(job.created_at),
    };
    Ok(Some(Callback { job: job.id.clone(), url: url.clone(), body }))
}

/// JSON as a response.
pub(super) fn response(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
