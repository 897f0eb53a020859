//! Replaces pieces of a body without copying the rest of it.

use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;

/// Text to put in the place of a range; an empty range inserts.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) place: Range<usize>,
    pub(crate) with: Bytes,
}

/// A body in pieces that share the memory of the text they were cut from. Cloning is cheap, so it can be sent again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    parts: Vec<Bytes>,
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
            self.parts.push(part);
        }
    }

    /// Bytes in all.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The pieces, behind that one.
    pub(crate) fn behind(&self, first: Bytes) -> VecDeque<Bytes> {
        std::iter::once(first).chain(self.parts.iter().cloned()).collect()
    }

    /// All pieces in one text.
    #[cfg(test)]
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.iter().copied()).collect()
    }
}
