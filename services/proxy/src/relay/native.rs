//! Dialects that are passed on as they are: Anthropic messages, OpenAI responses, and events of other routes.

use super::dialect::{Dialect, Verdict};
use crate::backends::{self, Repair};
use crate::error::ProxyError;
use crate::routing::Backend;
use crate::sse::Frame;
use crate::sse::frame::{event, named_event};
use crate::surface::envelope;
use crate::usage::{self, Outcome, Tally};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Passes frames on, and knows which of them ends an answer.
pub(crate) struct Native {
    backend: String,
    kind: Kind,
    ended: bool,
    /// The answer ended as one that failed, in the words of its protocol; the error's code.
    failed: Option<String>,
    tally: Tally,
    pieces: u64,
    /// The model, until a message has begun whose server may not say so.
    begins: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Messages,
    Responses,
    Other,
}

impl Native {
    /// Anthropic's `/v1/messages`: `message_stop` ends it.
    pub(crate) fn messages(backend: &Backend, prompt_bytes: usize, model: Option<&str>) -> Self {
        let begins = backend.kind.needs(Repair::MessageStart).then(|| model.unwrap_or_default().to_owned());
        Self { begins, ..Self::new(backend.name(), Kind::Messages, prompt_bytes) }
    }

    /// OpenAI's `/v1/responses`: `response.completed`, `response.incomplete` or `response.failed` ends it.
    pub(crate) fn responses(backend: &str, prompt_bytes: usize) -> Self {
        Self::new(backend, Kind::Responses, prompt_bytes)
    }

    /// Events of which nothing is known: a good end of the connection is the end.
    pub(crate) fn other(backend: &str, prompt_bytes: usize) -> Self {
        Self::new(backend, Kind::Other, prompt_bytes)
    }

    fn new(backend: &str, kind: Kind, prompt_bytes: usize) -> Self {
        let tally = Tally { tokens_in: usage::estimate(prompt_bytes), ..Tally::default() };
        Self { backend: backend.to_owned(), kind, ended: false, failed: None, tally, pieces: 0, begins: None }
    }

    /// The event that a message begins with, where the server did not send it.
    fn begin(&mut self, name: &str) -> Option<Bytes> {
        let model = self.begins.take_if(|_| !matches!(name, "" | "ping"))?;
        if name == "message_start" {
            return None;
        }
        let message = json!({
            "id": format!("msg_{}", uuid::Uuid::new_v4().simple()), "type": "message", "role": "assistant", "model": model,
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": self.tally.tokens_in, "output_tokens": 0},
        });
        let event = json!({"type": "message_start", "message": message});
        Some(named_event("message_start", event.to_string().as_bytes()))
    }

    fn note(&mut self, name: &str, value: &Value) {
        self.pieces += u64::from(name.ends_with("delta"));
        let told = ["/usage", "/message/usage", "/response/usage"].iter().find_map(|path| value.pointer(path));
        if let Some(told) = told.and_then(|told| usage::read(told.to_string().as_bytes())) {
            // The two halves come in different events.
            self.tally = Tally {
                tokens_in: told.tokens_in.max(if self.tally.told { self.tally.tokens_in } else { 0 }),
                tokens_out: told.tokens_out.max(self.tally.tokens_out),
                tokens_cached: told.tokens_cached.max(self.tally.tokens_cached),
                told: true,
            };
        }
        self.ended |= match self.kind {
            Kind::Messages => name == "message_stop",
            Kind::Responses => matches!(name, "response.completed" | "response.incomplete" | "response.failed"),
            Kind::Other => false,
        };
        if name == "response.failed" {
            let code = value.pointer("/response/error/code").and_then(Value::as_str);
            self.failed = Some(code.unwrap_or("response_failed").to_owned());
        }
    }
}

impl Dialect for Native {
    fn frame(&mut self, frame: Frame, out: &mut VecDeque<Bytes>) -> Verdict {
        if frame.is_done() {
            // Not part of these protocols; harmless, but not to be sent.
            return if self.ended || self.kind == Kind::Other { Verdict::Complete } else { Verdict::Continue };
        }
        let value: Option<Value> = frame.data.as_ref().and_then(|data| serde_json::from_slice(data).ok());
        let typed = value.as_ref().and_then(|value| value["type"].as_str());
        let named = frame.event.as_ref().and_then(|name| std::str::from_utf8(name).ok());
        let name = named.or(typed).unwrap_or_default().to_owned();
        if name == "error"
            || frame.error.is_some()
            || (self.kind != Kind::Other && name.is_empty() && frame.data.is_some())
        {
            let body = frame.error.or(frame.data).unwrap_or_default();
            let status =
                value.as_ref().and_then(backends::inside_success).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
            return Verdict::Broken(ProxyError::Upstream(Box::new(backends::read_refusal(
                &self.backend,
                status,
                &body,
                None,
            ))));
        }
        if let Some(value) = &value {
            self.note(&name, value);
        }
        out.extend(self.begin(&name));
        // Clients of these protocols read nothing without its name.
        match (&frame.data, frame.event.is_none() && self.kind != Kind::Other) {
            (Some(data), true) => out.push_back(named_event(&name, data)),
            (_, _) if frame.raw.ends_with(b"\n\n") => out.push_back(frame.raw),
            (Some(data), false) => out.push_back(if name.is_empty() { event(data) } else { named_event(&name, data) }),
            (None, _) => {}
        }
        if self.ended { Verdict::Complete } else { Verdict::Continue }
    }

    fn end(&mut self, _: &mut VecDeque<Bytes>) -> Verdict {
        if self.ended || self.kind == Kind::Other {
            return Verdict::Complete;
        }
        let reason = "it closed the stream before its end".to_owned();
        Verdict::Broken(ProxyError::Disconnected { backend: self.backend.clone(), reason })
    }

    fn is_whole(&self) -> bool {
        self.ended
    }

    fn outcome(&self) -> Outcome {
        self.failed.clone().map_or(Outcome::Completed, Outcome::Failed)
    }

    fn failure(&self, error: &ProxyError) -> Bytes {
        match self.kind {
            Kind::Messages => named_event("error", &envelope::anthropic(error, None)),
            Kind::Responses => named_event("error", &envelope::responses(error)),
            Kind::Other => event(&envelope::openai(error)),
        }
    }

    fn pieces(&self) -> u64 {
        self.pieces
    }

    fn tally(&self) -> Tally {
        if self.tally.told { self.tally } else { Tally { tokens_out: self.pieces, ..self.tally } }
    }
}
