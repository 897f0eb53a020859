//! The permissive CORS layer outside of the security layer: every origin may read the answer, whoever enforces. Model
//! traffic has a list of origins of its own.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// What the proxy answers, which enforces nothing where no key is asked for.
const MODEL_TRAFFIC: &str = "/v1/";

/// The middleware.
pub async fn cors(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(MODEL_TRAFFIC) {
        return next.run(request).await;
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        let mut response = next.run(request).await;
        vary(response.headers_mut());
        return response;
    };
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { preflight_answer(request.headers()) } else { next.run(request).await };
    let headers = response.headers_mut();
    vary(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    if !preflight {
        set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, "*");
    }
    response
}

fn preflight_answer(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::from("OK"));
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    set(headers, header::ACCESS_CONTROL_MAX_AGE, "600");
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
