//! One connection to a backend. It has no task: whoever waits for its answer drives it, and dropping it closes it.
//!
//! So a request stays on one thread from its client to its backend and back, nothing is read that nobody asked for, and
//! an aborted request is gone from the backend in the moment in which its future is.

use super::direct::Direct;
use super::stream::{Gate, Stream};
use crate::json::Pieces;
use bytes::Bytes;
use futures::FutureExt;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use service::BoxError;
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
    gate: Gate,
    closed: bool,
    idle_since: Instant,
}

impl Wire {
    /// Speaks HTTP over that stream.
    pub(super) async fn new(stream: Stream) -> Result<Box<Self>, hyper::Error> {
        let gate = stream.gate();
        gate.only_the_head(false);
        let (sender, connection) = Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        Ok(Box::new(Self { sender, connection, gate, closed: false, idle_since: Instant::now() }))
    }

    /// Sends a request and waits for the head of its answer; for a stream, nothing behind that is read yet.
    pub(super) async fn ask(
        &mut self,
        request: Request<Pieces>,
        is_stream: bool,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.gate.only_the_head(is_stream);
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

    /// The next frame of an answer that came over it.
    fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut *incoming).poll_frame(&mut quiet());
        if frame.is_ready() {
            return frame;
        }
        self.drive(cx);
        Pin::new(incoming).poll_frame(&mut quiet())
    }

    /// Whether the request has gone out as a whole, and nothing of the answer was read but its head.
    fn is_between(&self) -> bool {
        !self.closed && self.gate.has_written_all() && self.gate.is_behind_a_head()
    }

    /// The connection without the client, behind the head of an answer.
    fn into_direct(self, stays: bool) -> Direct {
        Direct::new(self.connection.into_parts().io, stays)
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

    /// Keeps the connection of an answer that has ended, if it can be used again.
    fn take_back(&self, source: Source) {
        match source {
            Source::Driven(_, wire) => self.keep(wire),
            Source::Direct(direct) => {
                let wire = direct.into_stream().and_then(|stream| Wire::new(stream).now_or_never()?.ok());
                if let Some(wire) = wire {
                    self.keep(wire);
                }
            }
            Source::Over => {}
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
    source: Source,
    home: Arc<Idle>,
}

enum Source {
    /// Through the HTTP client.
    Driven(Incoming, Box<Wire>),
    Direct(Box<Direct>),
    /// It has ended, or broken.
    Over,
}

impl Answer {
    /// An answer over that wire, which `stays` if the request did not ask for its end. The body of a stream is read
    /// directly where that can be.
    pub(super) fn of(answer: Response<Incoming>, wire: Box<Wire>, home: &Arc<Idle>, stays: bool) -> Response<Self> {
        let is_chunked = answer.headers().get_all(TRANSFER_ENCODING).iter().eq(["chunked"]);
        let goes =
            answer.headers().get(CONNECTION).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
        let is_usual = answer.version() == Version::HTTP_11 && answer.status() == StatusCode::OK && !goes;
        let (head, incoming) = answer.into_parts();
        let source = if is_chunked && is_usual && wire.is_between() {
            Source::Direct(Box::new(wire.into_direct(stays)))
        } else {
            wire.gate.only_the_head(false);
            Source::Driven(incoming, wire)
        };
        Response::from_parts(head, Self { source, home: Arc::clone(home) })
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.source {
            Source::Driven(incoming, wire) => wire.poll_frame(incoming, cx).map_err(BoxError::from),
            Source::Direct(direct) => direct.poll_payload(cx).map_ok(Frame::data).map_err(BoxError::from),
            Source::Over => Poll::Ready(None),
        };
        if let Poll::Ready(None | Some(Err(_))) = &frame {
            let source = std::mem::replace(&mut self.source, Source::Over);
            if matches!(frame, Poll::Ready(None)) {
                self.home.take_back(source);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // Not before its last poll, which gives the connection back.
        matches!(self.source, Source::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Driven(incoming, _) => incoming.size_hint(),
            Source::Direct(_) => SizeHint::default(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}
