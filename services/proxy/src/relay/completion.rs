//! The dialect of `/v1/chat/completions` and `/v1/completions`.

use super::dialect::{Dialect, Verdict};
use super::repair::{Chunk, Mender};
use crate::backends::{self, Kind};
use crate::error::ProxyError;
use crate::sse::Frame;
use crate::sse::frame::{DONE, event};
use crate::usage::{self, Tally};
use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;

/// Reads chunks, mends them where the backend's kind needs it, and knows whether the answer is complete.
pub(crate) struct Completion {
    backend: String,
    mender: Mender,
    wants_usage: bool,
    told: Option<Tally>,
    pieces: u64,
    prompt_tokens: u64,
}

impl Completion {
    /// For one answer of that backend. `chat` tells the two routes apart.
    pub(crate) fn new(backend: &str, kind: &'static Kind, chat: bool, wants_usage: bool, prompt_bytes: usize) -> Self {
        Self {
            backend: backend.to_owned(),
            mender: Mender::new(kind, chat),
            wants_usage,
            told: None,
            pieces: 0,
            prompt_tokens: usage::estimate(prompt_bytes),
        }
    }

    /// Whether a tool was called, and what ended the choices: for those who translate the stream.
    pub(crate) fn chunk(&mut self, frame: &Frame) -> Result<Option<Bytes>, Verdict> {
        if let Some(error) = &frame.error {
            return Err(self.refused(error));
        }
        let Some(data) = &frame.data else { return Ok(None) };
        let is_error_event = frame.event.as_ref().is_some_and(|name| name == "error");
        let Some(chunk) = Chunk::read(data) else {
            return Err(self.unreadable(data));
        };
        if is_error_event || chunk.is_error() {
            return Err(self.refused(data));
        }
        if let Some(told) = chunk.usage() {
            self.told = Some(told);
        }
        if chunk.is_usage_only() && !self.wants_usage {
            return Ok(None);
        }
        self.pieces += chunk.pieces();
        self.mender.pass(&chunk, data).map_err(|reason| self.bad(reason))
    }

    /// What the end mark means: a stream that has it but gave no reason was cut by somebody behind the backend.
    pub(crate) fn done(&self) -> Verdict {
        if self.mender.any_finished() {
            return Verdict::Complete;
        }
        self.bad("it ended without a finish_reason".to_owned())
    }

    fn refused(&self, body: &[u8]) -> Verdict {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let status = backends::inside_success(&value).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        Verdict::Broken(ProxyError::Upstream(Box::new(backends::read_refusal(&self.backend, status, body, None))))
    }

    fn unreadable(&self, data: &[u8]) -> Verdict {
        let shown: String = String::from_utf8_lossy(data).chars().take(60).collect();
        self.bad(format!("an event that is not JSON: {shown}"))
    }

    fn bad(&self, reason: String) -> Verdict {
        Verdict::Broken(ProxyError::BadReply { backend: self.backend.clone(), reason })
    }
}

impl Dialect for Completion {
    fn frame(&mut self, frame: Frame, out: &mut VecDeque<Bytes>) -> Verdict {
        if frame.is_comment() {
            out.push_back(comment(&frame.raw));
            return Verdict::Continue;
        }
        if frame.is_done() {
            let verdict = self.done();
            if verdict == Verdict::Complete {
                out.push_back(DONE);
            }
            return verdict;
        }
        match self.chunk(&frame) {
            Err(verdict) => return verdict,
            Ok(None) => {}
            Ok(Some(same)) if frame.plain && frame.data.as_ref().is_some_and(|data| data.as_ptr() == same.as_ptr()) => {
                out.push_back(frame.raw);
            }
            Ok(Some(json)) => out.push_back(event(&json)),
        }
        Verdict::Continue
    }

    fn end(&mut self, out: &mut VecDeque<Bytes>) -> Verdict {
        if !self.mender.all_finished() {
            let reason = "it closed the stream before its end".to_owned();
            return Verdict::Broken(ProxyError::Disconnected { backend: self.backend.clone(), reason });
        }
        out.push_back(DONE);
        Verdict::Complete
    }

    fn is_whole(&self) -> bool {
        self.mender.all_finished() && (!self.wants_usage || self.told.is_some())
    }

    fn failure(&self, error: &ProxyError) -> Bytes {
        event(&crate::surface::envelope::openai(error))
    }

    fn pieces(&self) -> u64 {
        self.pieces
    }

    fn tally(&self) -> Tally {
        self.told.unwrap_or(Tally { tokens_in: self.prompt_tokens, tokens_out: self.pieces, ..Tally::default() })
    }
}

/// A backend's comment with the line ends that every client reads.
fn comment(raw: &Bytes) -> Bytes {
    if raw.ends_with(b"\n\n") && !raw.contains(&b'\r') {
        return raw.clone();
    }
    let text = String::from_utf8_lossy(raw);
    let lines: Vec<&str> = text.split(['\r', '\n']).filter(|line| line.starts_with(':')).collect();
    format!("{}\n\n", lines.join("\n")).into()
}
