//! One connection to a backend. It has no task: whoever waits for its answer drives it, and dropping it closes it.
//!
//! So a request stays on one thread from its client to its backend and back, nothing is read that nobody asked for, and
//! an aborted request is gone from the backend in the moment in which its future is.

use super::connect::Stream;
use crate::json::Pieces;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Idle connections are closed before most servers close them.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections that are kept for one backend.
const IDLE_PER_BACKEND: usize = 256;
/// Bytes of an answer's head, and of what is read at once.
const BUFFER: usize = 64 * 1024;

/// A connection.
pub(super) struct Wire {
    sender: SendRequest<Pieces>,
    connection: Connection<Stream, Pieces>,
    closed: bool,
    idle_since: Instant,
}

impl Wire {
    /// Speaks HTTP over that stream.
    pub(super) async fn new(stream: Stream) -> Result<Box<Self>, hyper::Error> {
        let (sender, connection) = Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        Ok(Box::new(Self { sender, connection, closed: false, idle_since: Instant::now() }))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn ask(&mut self, request: Request<Pieces>) -> Result<Response<Incoming>, hyper::Error> {
        let mut answer = pin!(self.sender.send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(&mut quiet())
        })
        .await
    }

    /// Lets it write and read what it can. What goes wrong is told to whoever waits for the answer.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.closed {
            self.closed = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// Whether another request may be sent over it, as far as can be known here.
    fn is_free(&mut self) -> bool {
        self.drive(&mut quiet());
        !self.closed && self.sender.is_ready()
    }
}

/// Only [`Wire::drive`] brings what is waited for, so nobody else has to wake the task.
fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The connections of one backend that wait for their next request.
#[derive(Default)]
pub(crate) struct Idle(Mutex<VecDeque<Box<Wire>>>);

impl Idle {
    /// The one that was used last, if it still stands.
    pub(super) fn take(&self) -> Option<Box<Wire>> {
        loop {
            let mut wire = self.lock().pop_back()?;
            if wire.idle_since.elapsed() < IDLE && wire.is_free() {
                return Some(wire);
            }
        }
    }

    fn keep(&self, mut wire: Box<Wire>) {
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

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<Wire>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle({})", self.lock().len())
    }
}

/// The body of an answer. Read to its end, its connection goes back to the idle ones; dropped before, it is closed.
pub(crate) struct Answer {
    incoming: Incoming,
    wire: Option<Box<Wire>>,
    home: Arc<Idle>,
}

impl Answer {
    /// What comes over that wire.
    pub(super) fn new(incoming: Incoming, wire: Box<Wire>, home: &Arc<Idle>) -> Self {
        Self { incoming, wire: Some(wire), home: Arc::clone(home) }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = Pin::new(&mut self.incoming).poll_frame(&mut quiet());
        if frame.is_pending()
            && let Some(wire) = &mut self.wire
        {
            wire.drive(cx);
            frame = Pin::new(&mut self.incoming).poll_frame(&mut quiet());
        }
        match &frame {
            Poll::Ready(None) => {
                if let Some(wire) = self.wire.take() {
                    self.home.keep(wire);
                }
            }
            Poll::Ready(Some(Err(_))) => self.wire = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // Not before its last poll, which gives the connection back.
        self.wire.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
