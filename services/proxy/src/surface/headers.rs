//! Which headers go on to a backend, and which every response carries.

use axum::response::Response;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, USER_AGENT, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest request id that is taken over from a client.
const ID_BYTES: usize = 128;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What Anthropic's clients read.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What a backend may see of a client's headers, beside its trace.
const ONWARD: [HeaderName; 9] = [
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

/// The id of a request, as text and as a header.
#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    text: Arc<str>,
    value: HeaderValue,
}

impl RequestId {
    /// The client's id for the request if it is usable, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let usable = |text: &&str| {
            !text.is_empty() && text.len() <= ID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(usable);
        let text = given.map_or_else(|| new_id().into(), Arc::from);
        // Neither a usable one nor a new one has a byte that no header can carry.
        let value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("req_"));
        Self { text, value }
    }

    /// As text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The same, shared.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

/// The time, a number of this process and how many it has made: later ones sort behind earlier ones, and no two are the
/// same.
fn new_id() -> String {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    static MADE: AtomicU32 = AtomicU32::new(0);
    let process = PROCESS.get_or_init(|| uuid::Uuid::new_v4().as_fields().0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    format!("req_{:012x}{made:08x}{process:08x}", now.as_millis())
}

/// What a backend may see: never the client's key or cookies, nothing about its connection.
pub(crate) fn onward(headers: &HeaderMap, request_id: &RequestId) -> HeaderMap {
    // With room for its own key and host.
    let mut onward = HeaderMap::with_capacity(12);
    for (name, value) in headers {
        if ONWARD.contains(name) {
            onward.append(name, value.clone());
        }
    }
    onward.entry(CONTENT_TYPE).or_insert(JSON);
    onward.insert(X_REQUEST_ID, request_id.value.clone());
    onward
}

/// Puts the id and the security headers on a response.
pub(crate) fn finish(response: &mut Response, request_id: &RequestId) {
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(REQUEST_ID, request_id.value.clone());
    headers.insert(X_REQUEST_ID, request_id.value.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Puts on a response what every response under `/v1` carries: the id of its request and the security headers.
pub fn stamp(sent: &HeaderMap, response: &mut Response) {
    finish(response, &RequestId::of(sent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_requests_have_one_id_and_a_usable_one_of_the_client_is_kept() {
        let mut headers = HeaderMap::new();
        let (first, second) = (RequestId::of(&headers), RequestId::of(&headers));
        assert_ne!(first.text(), second.text());
        assert_eq!((first.text().len(), first.value.to_str().unwrap()), (32, first.text()));
        for (sent, kept) in [("mine-7", true), ("with blank", false), ("", false)] {
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(sent));
            assert_eq!(RequestId::of(&headers).text() == sent, kept, "{sent}");
        }
    }
}
