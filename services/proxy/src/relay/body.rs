//! The body of an answer, read from its connection as it comes.

use super::head::Framing;
use super::wire::{Broke, Idle, Wire};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use service::BoxError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A body. At its end its connection goes back to the idle ones; dropped before, it is closed.
pub(crate) struct Answer {
    /// None when it is over, or broken.
    source: Option<Source>,
    home: Arc<Idle>,
}

struct Source {
    wire: Wire,
    framing: Framing,
    /// Whether the connection may be used again.
    stays: bool,
}

impl Answer {
    /// What comes over that wire next.
    pub(super) fn new(wire: Wire, framing: Framing, stays: bool, home: &Arc<Idle>) -> Self {
        let mut answer = Self { source: Some(Source { wire, framing, stays }), home: Arc::clone(home) };
        answer.settle();
        answer
    }

    /// Gives the connection back if nothing more comes over it.
    fn settle(&mut self) {
        if let Some(source) = self.source.take_if(|source| source.is_over())
            && source.stays
        {
            self.home.keep(source.wire);
        }
    }
}

impl Source {
    fn is_over(&self) -> bool {
        match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunks) => chunks.is_done(),
            Framing::Connection => false,
        }
    }

    /// The next bytes; none at the end.
    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broke>> {
        loop {
            let input = &mut self.wire.input;
            let to_come = match &mut self.framing {
                Framing::Length(0) => return Poll::Ready(Ok(None)),
                Framing::Length(left) if input.is_empty() => *left,
                Framing::Length(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= length as u64;
                    return Poll::Ready(Ok(Some(input.split_to(length))));
                }
                Framing::Chunked(chunks) => match chunks.next(input)? {
                    Some(payload) => return Poll::Ready(Ok(Some(payload))),
                    None if chunks.is_done() => return Poll::Ready(Ok(None)),
                    None => chunks.to_come(),
                },
                Framing::Connection if input.is_empty() => 0,
                Framing::Connection => return Poll::Ready(Ok(Some(std::mem::take(input)))),
            };
            *input = ready!(self.wire.stream.poll_bytes(cx, to_come))?;
            if input.is_empty() {
                let is_end = matches!(self.framing, Framing::Connection);
                return Poll::Ready(if is_end { Ok(None) } else { Err(Broke::Closed) });
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let payload = ready!(source.poll_payload(cx));
        self.settle();
        match payload {
            Ok(Some(payload)) => Poll::Ready(Some(Ok(Frame::data(payload)))),
            Ok(None) => {
                self.source = None;
                Poll::Ready(None)
            }
            Err(error) => {
                self.source = None;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            None => SizeHint::with_exact(0),
            Some(Source { framing: Framing::Length(left), .. }) => SizeHint::with_exact(*left),
            Some(_) => SizeHint::default(),
        }
    }
}
