//! The access log: one line for each request, whatever became of it. Those that reach a model are told by their account.

use crate::error::ProxyError;
use crate::metrics::REFUSED;
use http::{Method, StatusCode};

/// Characters of a prompt that are written where prompts are asked for.
const PROMPT: usize = 4_096;

/// A request that was answered without a model, and why it was refused if it was.
pub(crate) fn answered(
    request_id: &str,
    method: &Method,
    path: &str,
    key: Option<&str>,
    status: StatusCode,
    error: Option<&ProxyError>,
) {
    if let Some(error) = error {
        metrics::counter!(REFUSED, "code" => error.face().code.unwrap_or_default()).increment(1);
    }
    tracing::info!(
        target: "chat_api.http",
        request_id, %method, path, key, status = status.as_u16(), error = error.map(tracing::field::display),
        "request answered"
    );
}

/// What a model was asked, for those who want that in their log.
pub(crate) fn prompt(request_id: &str, text: &[u8]) {
    let prompt: String = String::from_utf8_lossy(text).chars().take(PROMPT).collect();
    tracing::info!(target: "chat_api.http", request_id, prompt, "prompt");
}
