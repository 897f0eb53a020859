//! The spans that put run, session and request ids on every line and trace.

use tracing::Span;

/// Work on a run.
pub fn run_span(run_id: &str, session_id: &str) -> Span {
    tracing::info_span!("run", run_id, session_id)
}

/// An HTTP request. `route` is the pattern, not the path, so that traces group.
pub fn request_span(request_id: &str, method: &str, route: &str) -> Span {
    tracing::info_span!(
        "request",
        request_id,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        run_id = tracing::field::Empty,
    )
}
