//! How a refusal looks to a client: one status and a body `{"detail": ...}`.

use crate::input::Issue;
use axum::response::{IntoResponse, Response};
use domain::Object;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Why a request was refused. Every route answers with this or with its result.
#[derive(Debug, Clone)]
pub enum ApiError {
    /// A business refusal: status and one sentence.
    Refused {
        /// A 4xx, or 503 when a part of the gateway is not there.
        status: StatusCode,
        /// What failed, and what to do.
        detail: String,
    },
    /// A refusal that a program reads: status and an object.
    Explained {
        /// The status.
        status: StatusCode,
        /// What failed, in words and numbers.
        detail: Object,
    },
    /// Parameters or body do not have the declared shape (422).
    Invalid(Vec<Issue>),
}

impl ApiError {
    /// 400: the request contradicts itself or the rules.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, detail)
    }

    /// 403: known, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::FORBIDDEN, detail)
    }

    /// 404: no such thing for this caller.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, detail)
    }

    /// 409: it is there, in a state that forbids this.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, detail)
    }

    /// 413: more bytes than the limit.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 503: the broker or the store does not answer; trying again is right.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::refused(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 404 of a run.
    pub fn no_run(run: &str) -> Self {
        Self::not_found(format!("Run '{run}' not found"))
    }

    /// Any status with one sentence.
    pub fn refused(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::Refused { status, detail: detail.into() }
    }

    /// Any status with an object.
    pub fn explained(status: StatusCode, detail: Object) -> Self {
        Self::Explained { status, detail }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } | Self::Explained { status, .. } => *status,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl From<Issue> for ApiError {
    fn from(issue: Issue) -> Self {
        Self::Invalid(vec![issue])
    }
}

#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = match self {
            Self::Refused { detail, .. } => json(status, &Detail { detail }),
            Self::Explained { detail, .. } => json(status, &Detail { detail }),
            Self::Invalid(issues) => json(status, &Detail { detail: issues }),
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON answer with compact separators and keys in the order of the type.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => raw_json(status, bytes),
        Err(problem) => {
            tracing::error!(%problem, "an answer could not be written as JSON");
            raw_json(StatusCode::INTERNAL_SERVER_ERROR, br#"{"detail":"the answer could not be written"}"#.to_vec())
        }
    }
}

/// A JSON answer whose bytes are already there.
pub(crate) fn raw_json(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = (status, bytes).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The usual answer: 200 with a JSON body.
pub(crate) fn ok<T: Serialize>(body: &T) -> Response {
    json(StatusCode::OK, body)
}
