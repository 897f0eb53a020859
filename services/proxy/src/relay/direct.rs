//! A chunked stream that is read from its connection directly.
//!
//! A stream may be open for minutes, and the HTTP client's own state (its buffers above all) is several times larger than
//! what the rest of a stream needs. So once the head is there the connection is taken out of it, and put into a new one
//! when the stream has ended.

use super::chunks::Chunks;
use super::stream::Stream;
use bytes::Bytes;
use std::io;
use std::task::{Context, Poll, ready};

/// Why a stream broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broke {
    #[error("the connection was closed before the end of the answer")]
    Closed,
    #[error(transparent)]
    Coding(#[from] super::chunks::Malformed),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The rest of a chunked answer.
pub(super) struct Direct {
    stream: Stream,
    input: Bytes,
    chunks: Chunks,
    /// Whether the connection may be used again.
    stays: bool,
}

impl Direct {
    /// What comes over that stream, behind the head.
    pub(super) fn new(stream: Stream, stays: bool) -> Self {
        Self { stream, input: Bytes::new(), chunks: Chunks::default(), stays }
    }

    /// The next payload; none at the end of the answer.
    pub(super) fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broke>>> {
        loop {
            match self.chunks.next(&mut self.input) {
                Ok(Some(payload)) => return Poll::Ready(Some(Ok(payload))),
                Ok(None) if self.chunks.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            self.input = match ready!(self.stream.poll_bytes(cx)) {
                Ok(bytes) if bytes.is_empty() => return Poll::Ready(Some(Err(Broke::Closed))),
                Ok(bytes) => bytes,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
        }
    }

    /// The connection, if the answer is over and nothing came behind it.
    pub(super) fn into_stream(self) -> Option<Stream> {
        (self.stays && self.chunks.is_done() && self.input.is_empty()).then_some(self.stream)
    }
}
