//! The refusals of the security layer, word for word as clients know them.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

/// A request that goes no further.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
    challenge: bool,
}

impl Refusal {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, body: json!({ "detail": detail.into() }), retry_after: None, challenge: true }
    }

    pub(super) fn origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden (origin not allowed)")
    }

    pub(super) fn lockout(rest: Duration) -> Self {
        let seconds = rest.as_secs() + u64::from(rest.subsec_nanos() > 0);
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests (auth lockout)");
        Self { retry_after: Some(seconds.max(1)), ..refusal }
    }

    pub(super) fn concurrency() -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests (concurrency limit)");
        Self { retry_after: Some(1), ..refusal }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    /// The same in the words that clients of the GPU control plane know.
    pub(super) fn of_control(self) -> Self {
        if self.status != StatusCode::UNAUTHORIZED {
            return self;
        }
        Self { challenge: false, ..Self::new(self.status, "Invalid or missing API token") }
    }

    pub(super) fn no_token() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Gateway auth required but no token configured")
    }

    pub(super) fn csrf() -> Self {
        let detail = "Gateway browser session CSRF token missing or invalid";
        Self { body: json!({"detail": detail, "reason_code": "csrf_required"}), ..Self::new(StatusCode::FORBIDDEN, "") }
    }

    pub(super) fn admin(class: &str, write: bool) -> Self {
        let body = json!({
            "detail": "Admin principal required",
            "reason_code": "admin_required",
            "required_role": "admin",
            "resource_class": class,
            "action": if write { "write" } else { "read" },
        });
        Self { body, ..Self::new(StatusCode::FORBIDDEN, "") }
    }

    pub(super) fn too_large(bytes: u64, limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("Payload Too Large ({bytes} bytes > {limit} bytes)"))
    }

    pub(super) fn body_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 60 s")
    }

    pub(super) fn body_broken() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "There was an error parsing the body")
    }

    /// The answer.
    pub fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if self.challenge && self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
