//! Cuts a byte stream into event blocks at blank lines, however the bytes arrive.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// Collects bytes and hands out whole event blocks; a block that arrives in one piece is never copied.
#[derive(Debug)]
pub(crate) struct Splitter {
    held: Bytes,
    /// Start of the line that is being read, and how far it has been searched for its end.
    line: usize,
    searched: usize,
    limit: usize,
    started: bool,
}

/// An event block grew beyond the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {limit} bytes")]
pub(crate) struct TooLong {
    limit: usize,
}

const MARK: &[u8] = b"\xEF\xBB\xBF";

impl Splitter {
    /// Holds at most `limit` bytes of an unfinished event.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Bytes::new(), line: 0, searched: 0, limit, started: false }
    }

    /// Takes in what arrived. Call [`Self::next`] until it has nothing more before the next push.
    pub(crate) fn push(&mut self, more: Bytes) -> Result<(), TooLong> {
        if self.held.is_empty() {
            self.held = more;
            return Ok(());
        }
        if self.held.len() + more.len() > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        // Grows in place when nobody else looks at these bytes, so a long event is not copied at every piece.
        let mut joined =
            std::mem::take(&mut self.held).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        joined.extend_from_slice(&more);
        self.held = joined.freeze();
        Ok(())
    }

    /// The next block, with the line ends that close it.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        self.skip_mark()?;
        self.skip_blank();
        loop {
            let found = memchr2(b'\n', b'\r', self.held.get(self.searched..)?);
            let Some(step) = found else {
                self.searched = self.held.len();
                return None;
            };
            let at = self.searched + step;
            let blank = at == self.line;
            let end = match (self.held[at], self.held.get(at + 1)) {
                (b'\r', Some(b'\n')) => at + 2,
                // Whether a line feed follows is not known yet; behind a blank line it would be skipped anyway.
                (b'\r', None) if !blank => {
                    self.searched = at;
                    return None;
                }
                (_, _) => at + 1,
            };
            if blank {
                return Some(self.cut(end));
            }
            self.line = end;
            self.searched = end;
        }
    }

    /// Bytes of an event that never ended, if any: what a cut stream leaves behind.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        self.skip_blank();
        let rest = std::mem::take(&mut self.held);
        (self.line, self.searched) = (0, 0);
        (!rest.is_empty()).then_some(rest)
    }

    fn cut(&mut self, end: usize) -> Bytes {
        (self.line, self.searched) = (0, 0);
        self.held.split_to(end)
    }

    fn skip_mark(&mut self) -> Option<()> {
        if !self.started {
            if self.held.len() < MARK.len() && MARK.starts_with(&self.held) {
                return None;
            }
            self.started = true;
            if self.held.starts_with(MARK) {
                self.cut(MARK.len());
            }
        }
        Some(())
    }

    fn skip_blank(&mut self) {
        if self.line == 0 {
            let blank = self.held.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if blank > 0 {
                self.cut(blank);
            }
        }
    }
}
