//! `/docs`, `/redoc`, `/openapi.json` and `/`: outside of the security layer and of the OpenAPI document.

use axum::Router;
use axum::body::Body;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, header};

const PAGE: &str = include_str!("docs.html");
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of this file, with that document.
pub(super) fn router<S: Clone + Send + Sync + 'static>(document: String) -> Router<S> {
    let document = Bytes::from(document);
    let openapi = async move || {
        let mut response = Response::new(Body::from(document));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
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

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("src=\"//"));
    }
}
