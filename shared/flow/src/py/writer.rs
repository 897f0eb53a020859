//! A text that grows up to a limit and no further.

use super::{Exception, TEXT_BYTES, WORK_BYTES};

/// Collects text; refuses to grow past its limit and to be asked for endless work.
#[derive(Debug)]
pub struct Writer {
    out: String,
    limit: usize,
    work_left: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self { out: String::new(), limit: TEXT_BYTES, work_left: WORK_BYTES }
    }
}

impl Writer {
    /// Without limits: for forms whose size is a small multiple of a value that is already held.
    pub fn unbounded() -> Self {
        Self { out: String::new(), limit: usize::MAX, work_left: usize::MAX }
    }

    /// Appends a text.
    pub fn push(&mut self, text: &str) -> Result<(), Exception> {
        self.reserve(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// Appends a character so many times.
    pub fn repeat(&mut self, fill: char, count: usize) -> Result<(), Exception> {
        self.reserve(count.saturating_mul(fill.len_utf8()))?;
        self.out.extend(std::iter::repeat_n(fill, count));
        Ok(())
    }

    /// Accounts for the making of an intermediate text of so many bytes.
    pub fn charge(&mut self, bytes: usize) -> Result<(), Exception> {
        self.work_left = self
            .work_left
            .checked_sub(bytes)
            .ok_or_else(|| Exception::too_large("the text worked through", WORK_BYTES))?;
        Ok(())
    }

    /// What was collected.
    pub fn finish(self) -> String {
        self.out
    }

    fn reserve(&self, more: usize) -> Result<(), Exception> {
        if self.out.len().saturating_add(more) > self.limit {
            return Err(Exception::too_large("the text", self.limit));
        }
        Ok(())
    }
}
