//! Streams whose client takes nothing any more.
//!
//! A stream is read only as fast as its client reads, so one whose client stands still is not polled and cannot notice
//! its own deadline. Whoever watches drops it from outside, and with it the backend's connection and every place.

use super::live::BrokenOff;
use super::parting::drain;
use crate::error::ProxyError;
use crate::seats::Stage;
use bytes::Bytes;
use futures::Stream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Instant as Until, timeout_at};
use tokio_util::sync::CancellationToken;

type Piece = Result<Bytes, BrokenOff>;
type Inner = Pin<Box<dyn Stream<Item = Piece> + Send>>;

/// Knows every stream that is open, and whether all requests are to be broken off.
#[derive(Default)]
pub(crate) struct Watchdog {
    streams: Mutex<Vec<Weak<Shared>>>,
    stopping: CancellationToken,
}

struct Shared {
    state: Mutex<State>,
    watch: Watch,
}

struct State {
    stream: Option<Inner>,
    polled: Instant,
}

/// Why there was nothing to wait for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The time was over.
    Deadline,
    /// The process is about to end.
    Stopping,
}

/// A stream that can be dropped from outside.
pub(crate) struct Watched {
    shared: Arc<Shared>,
    over: bool,
}

/// How one stream is to be watched: it must be asked for its next piece within `patience`, and be over by `deadline`.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) patience: Duration,
    pub(crate) deadline: Instant,
    /// At which backend it is.
    pub(crate) stage: Arc<Stage>,
}

impl Watch {
    /// The stream, watched.
    pub(crate) fn over(&self, stream: Inner) -> Watched {
        let state = Mutex::new(State { stream: Some(stream), polled: Instant::now() });
        let shared = Arc::new(Shared { state, watch: self.clone() });
        self.watchdog.lock().push(Arc::downgrade(&shared));
        Watched { shared, over: false }
    }
}

impl Shared {
    /// Drops the stream, as its backend needs it; true if it was there.
    fn part(&self) -> bool {
        let stream = self.state.lock().unwrap_or_else(PoisonError::into_inner).stream.take();
        let Some(stream) = stream else { return false };
        if let Some(asked) = self.watch.stage.asked() {
            asked.part(stream, drain);
        }
        true
    }
}

impl Watchdog {
    /// Breaks every request off that is still under way.
    pub(crate) fn break_off(&self) {
        self.stopping.cancel();
    }

    /// What the future brings by then, unless everything is broken off before.
    pub(crate) async fn within<T>(&self, until: Until, future: impl Future<Output = T>) -> Result<T, Late> {
        tokio::select! {
            biased;
            found = timeout_at(until, future) => found.map_err(|_| Late::Deadline),
            () = self.stopping.cancelled() => Err(Late::Stopping),
        }
    }

    /// Drops the streams whose client stands still; how many.
    pub(crate) fn sweep(&self, now: Instant) -> usize {
        let mut dropped = 0;
        let mut streams = self.lock();
        streams.retain(|stream| {
            let Some(shared) = stream.upgrade() else { return false };
            let polled = shared.state.lock().unwrap_or_else(PoisonError::into_inner).polled;
            let stalled = now.saturating_duration_since(polled);
            // At its deadline a stream that is read ends by itself, so some time is left for that.
            let is_over = now > shared.watch.deadline && stalled > Duration::from_secs(1);
            if is_over || stalled > shared.watch.patience {
                dropped += usize::from(shared.part());
                return false;
            }
            true
        });
        dropped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Shared>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Watched {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.over {
            return Poll::Ready(None);
        }
        let polled = {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.polled = Instant::now();
            state.stream.as_mut().map(|stream| stream.as_mut().poll_next(cx))
        };
        let piece = polled.unwrap_or_else(|| {
            let after = self.shared.watch.patience;
            Poll::Ready(Some(Err(BrokenOff(ProxyError::TotalTimeout { after }))))
        });
        self.over = matches!(piece, Poll::Ready(None | Some(Err(_))));
        piece
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.over {
            self.shared.part();
        }
    }
}
