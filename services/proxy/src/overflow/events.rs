//! A job's changes as server-sent events, pushed as they come; the last one carries the answer.

use super::board::Known;
use super::{Overflow, view};
use crate::error::ProxyError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use domain::deferred::DeferredStatus;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

struct Following {
    overflow: Arc<Overflow>,
    changes: watch::Receiver<Arc<Known>>,
    /// The position of what the client has seen.
    seen: u64,
    status: Option<DeferredStatus>,
    patience: Duration,
    over: bool,
}

/// The stream, from behind what the client has seen; `patience` is the time between comments, zero for none.
pub(super) fn stream_of(
    overflow: &Arc<Overflow>,
    changes: watch::Receiver<Arc<Known>>,
    seen: u64,
    patience: Duration,
) -> Response {
    let patience = if patience.is_zero() { Duration::MAX } else { patience };
    let following = Following { overflow: Arc::clone(overflow), changes, seen, status: None, patience, over: false };
    let mut response = Response::new(Body::from_stream(stream::unfold(following, next)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn next(mut following: Following) -> Option<(Result<Bytes, Infallible>, Following)> {
    if following.over {
        return None;
    }
    loop {
        let known = Arc::clone(&following.changes.borrow_and_update());
        let status = known.job.status;
        // Who has it in hand is nothing that a client sees.
        let is_news = known.sequence > following.seen && following.status != Some(status);
        if is_news || (status.is_end() && !following.over) {
            following.over = status.is_end();
            following.seen = known.sequence;
            following.status = Some(status);
            return Some((Ok(event(&following.overflow, &known).await), following));
        }
        match timeout(following.patience, following.changes.changed()).await {
            Ok(Ok(())) => {}
            // The job was forgotten.
            Ok(Err(_)) => return None,
            Err(_) => return Some((Ok(KEEP_ALIVE), following)),
        }
    }
}

async fn event(overflow: &Overflow, known: &Known) -> Bytes {
    let text = match view::whole(overflow, &known.job).await {
        Ok(text) => text,
        Err(error @ ProxyError::JobsAway { .. }) => {
            tracing::warn!(%error, job = known.job.id, "an answer is not sent with its event");
            view::job(overflow, &known.job).to_string()
        }
        Err(_) => view::job(overflow, &known.job).to_string(),
    };
    // One line: the answer of a model server may be written over many.
    let line = if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ") } else { text };
    format!("id: {}\nevent: {}\ndata: {line}\n\n", known.sequence, known.job.status.as_str()).into()
}
