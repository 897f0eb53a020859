//! One connection to a backend. It has no task: whoever waits for its answer drives it, and dropping it closes it.
//!
//! So a request stays on one thread from its client to its backend and back, nothing is read that nobody asked for, and
//! an aborted request is gone from the backend in the moment in which its future is.

use super::chunks;
use super::head::{self, Head};
use super::stream::Stream;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Idle connections are closed before most servers close them.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections that are kept for one backend.
const IDLE_PER_BACKEND: usize = 256;
/// Pieces that are written at once.
const SLICES: usize = 8;

/// Why an exchange broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broke {
    /// On a connection that had been used before, this tells nothing of the request.
    #[error("the connection was closed before a byte of the answer came")]
    Unanswered,
    #[error("the connection was closed before the end of the answer")]
    Closed,
    #[error(transparent)]
    Head(#[from] head::Malformed),
    #[error(transparent)]
    Coding(#[from] chunks::Malformed),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A connection.
pub(super) struct Wire {
    pub(super) stream: Stream,
    /// Read, and not yet handed on.
    pub(super) input: Bytes,
    idle_since: Instant,
}

impl Wire {
    /// Over that stream.
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, input: Bytes::new(), idle_since: Instant::now() }
    }

    /// Sends a request and waits for the head of its answer. A server that answers before it has read everything gets no
    /// more of it, and its connection is not used again.
    pub(super) async fn ask(&mut self, mut request: VecDeque<Bytes>) -> Result<Head, Broke> {
        poll_fn(|cx| {
            let written = self.poll_send(cx, &mut request);
            let read = self.poll_head(cx);
            match (read, written) {
                (Poll::Ready(Ok(mut head)), _) => {
                    head.stays &= request.is_empty();
                    Poll::Ready(Ok(head))
                }
                (Poll::Ready(Err(broke)), _) => Poll::Ready(Err(broke)),
                // Nobody takes the request, and nobody says why.
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(self.unread(error))),
                (Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Writes what the system takes.
    fn poll_send(&mut self, cx: &mut Context<'_>, request: &mut VecDeque<Bytes>) -> Poll<io::Result<()>> {
        while !request.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slice, part) in slices.iter_mut().zip(request.iter()) {
                *slice = IoSlice::new(part);
            }
            let count = request.len().min(SLICES);
            let mut taken = std::task::ready!(self.stream.poll_write(cx, &slices[..count]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            while let Some(part) = request.front_mut() {
                if taken < part.len() {
                    part.advance(taken);
                    break;
                }
                taken -= part.len();
                request.pop_front();
            }
        }
        self.stream.poll_flush(cx)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broke>> {
        loop {
            let bytes = match std::task::ready!(self.stream.poll_bytes(cx, 0)) {
                Ok(bytes) if bytes.is_empty() && self.input.is_empty() => return Poll::Ready(Err(Broke::Unanswered)),
                Ok(bytes) if bytes.is_empty() => return Poll::Ready(Err(Broke::Closed)),
                Ok(bytes) => bytes,
                Err(error) => return Poll::Ready(Err(self.unread(error))),
            };
            self.input = if self.input.is_empty() { bytes } else { [&self.input[..], &bytes].concat().into() };
            if let Some(head) = Head::read(&mut self.input)? {
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// An error of the connection, seen by the request that waits for its answer.
    fn unread(&self, error: io::Error) -> Broke {
        let is_closed = matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
        if is_closed && self.input.is_empty() { Broke::Unanswered } else { error.into() }
    }

    /// Whether another request may be sent over it, as far as can be known here.
    fn is_free(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.input.is_empty() && self.stream.poll_bytes(&mut nobody, 0).is_pending()
    }
}

/// The connections of one backend that wait for their next request.
#[derive(Default)]
pub(crate) struct Idle(Mutex<VecDeque<Wire>>);

impl Idle {
    /// The one that was used last, if it still stands.
    pub(super) fn take(&self) -> Option<Wire> {
        loop {
            let mut wire = self.lock().pop_back()?;
            if wire.idle_since.elapsed() < IDLE && wire.is_free() {
                return Some(wire);
            }
        }
    }

    /// Keeps a connection whose answer has ended, if it can be used again.
    pub(super) fn keep(&self, mut wire: Wire) {
        if !wire.is_free() {
            return;
        }
        wire.idle_since = Instant::now();
        let mut wires = self.lock();
        wires.push_back(wire);
        let surplus = if wires.len() > IDLE_PER_BACKEND { wires.pop_front() } else { None };
        drop(wires);
        drop(surplus);
    }

    /// Closes those that were not used for long.
    pub(super) fn sweep(&self) {
        let mut wires = self.lock();
        let old = wires.iter().take_while(|wire| wire.idle_since.elapsed() >= IDLE).count();
        let old: Vec<_> = wires.drain(..old).collect();
        drop(wires);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Wire>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle({})", self.lock().len())
    }
}
