//! Reads a backend's error body, whichever of the known shapes it has.

use crate::error::Refusal;
use http::StatusCode;
use serde_json::Value;
use std::time::Duration;

/// Longest message that is passed on; a backend may answer with a whole page.
const MESSAGE_CHARS: usize = 2_000;

/// The error in that body. Shapes: `{"error":{…}}`, `{"error":"text","error_type"}`, `{"object":"error","message"}`,
/// `{"detail"}`, `{"type":"error","error":{…}}`, plain text, HTML, nothing.
pub(crate) fn read(backend: &str, status: StatusCode, body: &[u8], retry: Option<Duration>) -> Refusal {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let (message, kind, code, param) = match value.as_ref() {
        Some(value) => fields(value),
        None => (plain(body), None, None, None),
    };
    let message = message.filter(|text| !text.trim().is_empty());
    // Whoever cannot do it, we or the server: clients look for one word.
    let code = if status == StatusCode::NOT_IMPLEMENTED { Some("capability_not_supported".to_owned()) } else { code };
    Refusal {
        message: cut(&message.unwrap_or_else(|| format!("backend '{backend}' answered {status}"))),
        backend: backend.to_owned(),
        status,
        kind,
        code,
        param,
        retry,
    }
}

/// Whether a chunk or an answer with status 200 is in truth an error, and with which status.
pub(crate) fn inside_success(value: &Value) -> Option<StatusCode> {
    let error = match value.get("error") {
        Some(Value::Null) | None => (value["object"] == "error" || value["type"] == "error").then_some(value)?,
        Some(error) => error,
    };
    let code = error.get("code").or_else(|| value.get("status")).and_then(number);
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    let kind = error.get("type").or_else(|| value.get("error_type")).and_then(Value::as_str);
    Some(as_told(status.or_else(|| of_kind(kind?)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// The status for the client: that our own key is refused is no fault of its.
pub(crate) fn as_told(status: StatusCode) -> StatusCode {
    if matches!(status.as_u16(), 401 | 403 | 407) { StatusCode::BAD_GATEWAY } else { status }
}

/// The status of an error that names only its type: Anthropic's words, and those of Text Generation Inference.
fn of_kind(kind: &str) -> Option<StatusCode> {
    let status = match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "validation" => 422,
        "rate_limit_error" | "overloaded" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    };
    StatusCode::from_u16(status).ok()
}

type Fields = (Option<String>, Option<String>, Option<String>, Option<String>);

fn fields(value: &Value) -> Fields {
    let (from, beside) = match value.get("error") {
        Some(Value::Null) | None => (value, value),
        Some(error) => (error, value),
    };
    if let Value::String(message) = from {
        return (Some(message.clone()), beside.get("error_type").and_then(text), None, None);
    }
    let message = ["message", "detail", "msg"].iter().find_map(|key| from.get(key).and_then(text));
    let kind = from.get("type").and_then(text).filter(|kind| kind != "error");
    (message, kind, from.get("code").and_then(text), from.get("param").and_then(text))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|code| u16::try_from(code).ok()).or_else(|| value.as_str()?.parse().ok())
}

fn plain(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    // A page is for people with a browser, not for a message.
    (!text.is_empty() && !text.starts_with('<')).then(|| text.to_owned())
}

fn cut(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS).collect()
}
