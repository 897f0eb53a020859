//! How far a request has come: what it waits for, for the comments of a stream that has nothing else to say yet, and which
//! backend has it, if that must be told when the client leaves.

use crate::relay::parting::Asked;
use crate::sse::frame::KEEP_ALIVE;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Characters of a comment.
const LONGEST: usize = 500;

/// What a request waits for now, and who has it; nothing unless somebody says so.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    said: Mutex<Option<String>>,
    asked: Mutex<Option<Arc<Asked>>>,
}

impl Stage {
    /// Says it.
    pub(crate) fn set(&self, text: Option<String>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// A comment that says it; the usual one if there is nothing to say.
    pub(crate) fn comment(&self) -> Bytes {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(text) = said.as_deref() else { return KEEP_ALIVE };
        let line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(LONGEST).collect();
        Bytes::from(format!(": {line}\n\n"))
    }

    /// Says at which backend it is now.
    pub(crate) fn asks(&self, asked: Option<Arc<Asked>>) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }

    /// At which backend it is that does not stop by itself.
    pub(crate) fn asked(&self) -> Option<Arc<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
