//! How an error looks to clients of each protocol.

use crate::error::ProxyError;
use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// `{"error":{message,type,param,code}}`
pub(crate) fn openai(error: &ProxyError) -> Vec<u8> {
    let face = error.face();
    let body = json!({"error": {
        "message": error.to_string(), "type": face.kind, "param": face.param, "code": face.code,
    }});
    body.to_string().into_bytes()
}

/// `{"type":"error","error":{type,message},"request_id"}`, with a type that its clients know: backends of other protocols
/// have types of their own.
pub(crate) fn anthropic(error: &ProxyError, request_id: Option<&str>) -> Vec<u8> {
    let kind = match error.face().status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        // A capability that is lacking is not to be asked for again.
        400..=499 | 501 => "invalid_request_error",
        _ => "api_error",
    };
    let mut body = json!({"type": "error", "error": {"type": kind, "message": error.to_string()}});
    if let Some(id) = request_id {
        body["request_id"] = json!(id);
    }
    body.to_string().into_bytes()
}

/// The `error` event of a responses stream.
pub(crate) fn responses(error: &ProxyError) -> Vec<u8> {
    let face = error.face();
    let message = error.to_string();
    json!({
        "type": "error", "code": face.code, "message": message, "param": face.param,
        "error": {"message": message, "type": face.kind, "param": face.param, "code": face.code},
    })
    .to_string()
    .into_bytes()
}

/// The whole response.
pub(crate) fn response(error: &ProxyError, is_anthropic: bool, request_id: &str) -> Response {
    let face = error.face();
    let body = if is_anthropic { anthropic(error, Some(request_id)) } else { openai(error) };
    // 529 is what Anthropic's clients know as overloaded.
    let overloaded = is_anthropic && face.status == StatusCode::SERVICE_UNAVAILABLE;
    let status = if overloaded { StatusCode::from_u16(529).unwrap_or(face.status) } else { face.status };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if error.is_final() {
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    if let Some(wait) = error.retry_after() {
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1000)));
        headers.insert("retry-after-ms", HeaderValue::from(milliseconds));
    }
    response
}
