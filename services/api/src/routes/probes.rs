//! `/livez`, `/readyz` and `/metrics`: for whoever runs the process, outside of the security layer and the contract.

use crate::Api;
use crate::error::json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

/// The routes of this file.
pub(super) fn router() -> Router<Api> {
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn ready(State(api): State<Api>) -> Response {
    let readiness = api.parts.health.readiness();
    json(if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &readiness)
}

async fn metrics(State(api): State<Api>) -> Response {
    let mut response = api.parts.metrics.render().into_response();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
