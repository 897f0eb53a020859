//! `/docs`, `/redoc`, `/openapi.json` and `/`: outside of the security layer and of the OpenAPI document.

use crate::error::raw_json;
use crate::openapi::document;
use crate::routes::operations;
use axum::Router;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use std::sync::OnceLock;

const PAGE: &str = include_str!("docs.html");
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of this file.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .route("/docs", get(page))
        .route("/redoc", get(page))
        .route("/openapi.json", get(openapi))
}

async fn page() -> Response {
    let mut response = Html(PAGE).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

async fn openapi() -> Response {
    static DOCUMENT: OnceLock<Vec<u8>> = OnceLock::new();
    raw_json(StatusCode::OK, DOCUMENT.get_or_init(|| document(&operations()).to_string().into_bytes()).clone())
}

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("src=\"//"));
    }
}
