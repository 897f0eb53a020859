//! Two pools of places: ledger streams, and everything else. A place is held until the answer has been sent.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request may wait for a place.
const PATIENCE: Duration = Duration::from_millis(10);

/// The places.
#[derive(Debug, Clone)]
pub struct Pools {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// A held place.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Pools {
    /// So many places for requests and for streams.
    pub fn new(requests: usize, streams: usize) -> Self {
        Self { requests: Arc::new(Semaphore::new(requests)), streams: Arc::new(Semaphore::new(streams)) }
    }

    /// Takes a place in the path's pool, or nothing when it stays full.
    pub async fn enter(&self, path: &str) -> Option<Place> {
        let pool =
            if path.ends_with("/ledger/stream") || path.ends_with("/events") { &self.streams } else { &self.requests };
        if let Ok(permit) = pool.clone().try_acquire_owned() {
            return Some(Place { _permit: permit });
        }
        let waited = tokio::time::timeout(PATIENCE, pool.clone().acquire_owned()).await;
        waited.ok().and_then(Result::ok).map(|permit| Place { _permit: permit })
    }
}

impl Place {
    /// Holds the place until the answer's body has been sent or its client has gone.
    pub fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(Held { body, _place: self }))
    }
}

struct Held {
    body: Body,
    _place: Place,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}
