//! Which headers go on to a backend, and which every response carries.

use axum::response::Response;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Longest request id that is taken over from a client.
const ID_BYTES: usize = 128;

/// The client's id for the request if it is usable, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let usable =
        |text: &&str| !text.is_empty() && text.len() <= ID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(usable);
    given.map_or_else(|| format!("req_{}", uuid::Uuid::now_v7().simple()), str::to_owned)
}

/// What a backend may see: never the client's key or cookies, nothing about its connection.
pub(crate) fn onward(headers: &HeaderMap, request_id: &str) -> HeaderMap {
    let mut onward = HeaderMap::with_capacity(8);
    let named = [
        CONTENT_TYPE,
        ACCEPT,
        USER_AGENT,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("tracestate"),
        HeaderName::from_static("anthropic-version"),
        HeaderName::from_static("anthropic-beta"),
        HeaderName::from_static("openai-beta"),
    ];
    for name in named {
        for value in headers.get_all(&name) {
            onward.append(name.clone(), value.clone());
        }
    }
    onward.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::try_from(request_id) {
        onward.insert("x-request-id", value);
    }
    onward
}

/// Puts the id and the security headers on a response.
pub(crate) fn finish(response: &mut Response, request_id: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(request_id) {
        headers.insert("request-id", value.clone());
        headers.insert("x-request-id", value);
    }
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
