//! What a request waits for, for the comments of a stream that has nothing else to say yet.

use crate::sse::frame::KEEP_ALIVE;
use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Characters of a comment.
const LONGEST: usize = 500;

/// What a request waits for now; nothing unless somebody says so.
#[derive(Debug, Default)]
pub(crate) struct Stage(Mutex<Option<String>>);

impl Stage {
    /// Says it.
    pub(crate) fn set(&self, text: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// A comment that says it; the usual one if there is nothing to say.
    pub(crate) fn comment(&self) -> Bytes {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(text) = said.as_deref() else { return KEEP_ALIVE };
        let line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(LONGEST).collect();
        Bytes::from(format!(": {line}\n\n"))
    }
}
