//! How many bytes a request body may have, and counting those that do not say.

use super::answer::Refusal;
use super::families::is_control;
use crate::config::SecurityConfig;
use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::header;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;

/// What a form adds to the file it carries.
const FORM_ALLOWANCE: usize = 2 * 1024 * 1024;
/// How long a client may take to send a body of unknown length.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is still read of a refused body, and for how long.
const DISCARDED: usize = 4 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(2);

/// Bytes of a document of the GPU control plane: a payload with pictures, and below what one message holds.
const DOCUMENT: usize = 3 * 1024 * 1024;

/// The limit of a document's body.
pub fn document_limit(config: &SecurityConfig) -> usize {
    config.max_body_bytes.max(DOCUMENT)
}

/// The limit of a path's body.
pub(super) fn limit(config: &SecurityConfig, path: &str) -> usize {
    let file = if path.ends_with("/attachments/upload") {
        config.max_attachment_bytes
    } else if path.ends_with("/bundles/upload") {
        config.max_bundle_bytes
    } else if is_control(path) {
        return document_limit(config);
    } else {
        return config.max_body_bytes;
    };
    let whole = file.saturating_add(FORM_ALLOWANCE);
    if config.max_upload_body_bytes > 0 { whole.min(config.max_upload_body_bytes) } else { whole }
}

/// Passes a request whose body is within the limit. A body that does not say its length is read and counted here; one
/// that may be an upload is cut off at the limit while its route reads it, so that memory is held by few at once.
pub(super) async fn measured(request: Request, limit: usize, at_once: usize) -> Result<Request, Refusal> {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    if let Some(declared) = declared.and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok()) {
        // The HTTP layer hands on exactly as many bytes as were declared.
        if declared <= limit as u64 {
            return Ok(request);
        }
        // Who waits for leave to send has sent nothing yet.
        if !request.headers().contains_key(header::EXPECT) {
            discard(&mut request.into_body()).await;
        }
        return Err(Refusal::too_large(declared, limit));
    }
    if http_body::Body::is_end_stream(request.body()) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    if limit > at_once {
        return Ok(Request::from_parts(parts, Body::new(Limited::new(body, limit))));
    }
    match tokio::time::timeout(PATIENCE, count(body, limit)).await {
        Ok(counted) => counted.map(|bytes| Request::from_parts(parts, Body::from(bytes))),
        Err(_) => Err(Refusal::body_timeout()),
    }
}

async fn count(mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Refusal::body_broken());
        };
        let Ok(chunk) = frame.into_data() else { continue };
        let total = bytes.len() + chunk.len();
        if total > limit {
            discard(&mut body).await;
            return Err(Refusal::too_large(total as u64, limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads on for a while: a client that is still sending when its connection closes may never see why.
async fn discard(body: &mut Body) {
    let mut left = DISCARDED;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whether all of it came is of no interest.
    let _ = tokio::time::timeout(DISCARDING, reading).await;
}
