//! Replaces pieces of a body without copying the rest of it.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Text to put in the place of a range; an empty range inserts.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) place: Range<usize>,
    pub(crate) with: Bytes,
}

/// A body in pieces that share the memory of the text they were cut from. Cloning is cheap, so it can be sent again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    parts: VecDeque<Bytes>,
    length: u64,
}

impl Pieces {
    /// The whole text, untouched.
    pub(crate) fn whole(text: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(text);
        pieces
    }

    /// The text with the edits applied. Edits must not overlap; they may come in any order.
    pub(crate) fn spliced(text: &Bytes, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| edit.place.start);
        let mut pieces = Self::default();
        let mut kept = 0;
        for edit in edits {
            pieces.push(text.slice(kept..edit.place.start.max(kept)));
            pieces.push(edit.with);
            kept = edit.place.end.max(kept);
        }
        pieces.push(text.slice(kept..));
        pieces
    }

    fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.length += part.len() as u64;
            self.parts.push_back(part);
        }
    }

    /// All pieces in one text.
    #[cfg(test)]
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.iter().copied()).collect()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.pop_front();
        if let Some(part) = &part {
            self.length -= part.len() as u64;
        }
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
