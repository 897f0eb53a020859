//! How routers become a server: answers for what is not there, and the layers around everything.

use crate::error::json;
use crate::security::{Security, cors, secure};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use http::StatusCode;
use serde_json::json as object;
use std::sync::Arc;

/// Adds the 404 and 405 answers. Once per server, after every router has been merged.
pub fn fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed)
}

/// Puts the security layer around every route below `/api/gateway`, and the permissive CORS layer around all.
pub fn layers(router: Router, security: Arc<Security>) -> Router {
    router.layer(from_fn_with_state(security, secure)).layer(from_fn(cors))
}

async fn not_found() -> Response {
    json(StatusCode::NOT_FOUND, &object!({"detail": "Not Found"}))
}

async fn method_not_allowed() -> Response {
    json(StatusCode::METHOD_NOT_ALLOWED, &object!({"detail": "Method Not Allowed"}))
}
