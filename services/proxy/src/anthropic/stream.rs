//! A stream of chat completion chunks as a stream of message events.

use super::answer::{message_id, thought_of, usage};
use super::{stop_reason, stop_sequence};
use crate::error::ProxyError;
use crate::relay::completion::Completion;
use crate::relay::dialect::{Dialect, Verdict};
use crate::sse::Frame;
use crate::sse::frame::named_event;
use crate::surface::envelope;
use crate::usage::Tally;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Reads chunks as the OpenAI dialect does, mending included, and says each in Anthropic's words.
pub(crate) struct Translated {
    inner: Completion,
    model: String,
    started: bool,
    /// The block that is open, and what it is.
    open: Option<(usize, Block)>,
    blocks: usize,
    finish: Option<String>,
    sequence: Option<String>,
    usage: Value,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    /// A tool call, by its index in the chunks.
    Tool(u64),
}

impl Translated {
    /// For a model as the client named it.
    pub(crate) fn new(inner: Completion, model: String) -> Self {
        Self {
            inner,
            model,
            started: false,
            open: None,
            blocks: 0,
            finish: None,
            sequence: None,
            usage: Value::Null,
            ended: false,
        }
    }

    fn chunk(&mut self, chunk: &Value, out: &mut VecDeque<Bytes>) {
        self.start(chunk, out);
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        // A message is one choice.
        let Some(choice) = chunk["choices"].get(0).filter(|choice| choice["index"].as_u64().unwrap_or(0) == 0) else {
            return;
        };
        let delta = &choice["delta"];
        if let Some(thought) = thought_of(delta) {
            let at = self.enter(Block::Thinking, || json!({"type": "thinking", "thinking": "", "signature": ""}), out);
            self.say("content_block_delta", &json!({"type": "content_block_delta", "index": at, "delta": {"type": "thinking_delta", "thinking": thought}}), out);
        }
        if let Some(text) = delta["content"].as_str().filter(|text| !text.is_empty()) {
            let at = self.enter(Block::Text, || json!({"type": "text", "text": ""}), out);
            self.say(
                "content_block_delta",
                &json!({"type": "content_block_delta", "index": at, "delta": {"type": "text_delta", "text": text}}),
                out,
            );
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, out);
        }
        if let Some(finish) = choice["finish_reason"].as_str().filter(|finish| !finish.is_empty()) {
            self.finish = Some(finish.to_owned());
            self.sequence = stop_sequence(choice).filter(|_| finish == "stop").map(str::to_owned);
        }
    }

    fn call(&mut self, call: &Value, out: &mut VecDeque<Bytes>) {
        let block = || json!({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": {}});
        let at = self.enter(Block::Tool(call["index"].as_u64().unwrap_or(0)), block, out);
        if let Some(text) = call["function"]["arguments"].as_str().filter(|text| !text.is_empty()) {
            self.say("content_block_delta", &json!({"type": "content_block_delta", "index": at, "delta": {"type": "input_json_delta", "partial_json": text}}), out);
        }
    }

    fn start(&mut self, chunk: &Value, out: &mut VecDeque<Bytes>) {
        if self.started {
            return;
        }
        self.started = true;
        let message = json!({
            "id": message_id(&chunk["id"]), "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": self.inner.tally().tokens_in, "output_tokens": 0},
        });
        self.say("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    /// Makes that block the open one; its index.
    fn enter(&mut self, block: Block, content: impl FnOnce() -> Value, out: &mut VecDeque<Bytes>) -> usize {
        if let Some((at, open)) = self.open
            && open == block
        {
            return at;
        }
        self.leave(out);
        let at = self.blocks;
        self.blocks += 1;
        self.open = Some((at, block));
        self.say(
            "content_block_start",
            &json!({"type": "content_block_start", "index": at, "content_block": content()}),
            out,
        );
        at
    }

    fn leave(&mut self, out: &mut VecDeque<Bytes>) {
        if let Some((at, _)) = self.open.take() {
            self.say("content_block_stop", &json!({"type": "content_block_stop", "index": at}), out);
        }
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Verdict {
        self.leave(out);
        let sequence = self.sequence.as_deref();
        let stop = self.finish.as_deref().map_or("end_turn", |finish| stop_reason(finish, sequence));
        let mut told = usage(&self.usage);
        if !self.usage.is_object() {
            let tally = self.inner.tally();
            told = json!({"input_tokens": tally.tokens_in, "output_tokens": tally.tokens_out});
        }
        let delta = json!({
            "type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": sequence}, "usage": told,
        });
        self.say("message_delta", &delta, out);
        self.say("message_stop", &json!({"type": "message_stop"}), out);
        self.ended = true;
        Verdict::Complete
    }

    fn say(&self, name: &str, value: &Value, out: &mut VecDeque<Bytes>) {
        out.push_back(named_event(name, value.to_string().as_bytes()));
    }
}

impl Dialect for Translated {
    fn frame(&mut self, frame: Frame, out: &mut VecDeque<Bytes>) -> Verdict {
        if frame.is_comment() {
            out.push_back(frame.raw);
            return Verdict::Continue;
        }
        if frame.is_done() {
            return match self.inner.done() {
                Verdict::Complete | Verdict::Continue => self.finish(out),
                broken @ Verdict::Broken(_) => broken,
            };
        }
        match self.inner.chunk(&frame) {
            Err(verdict) => return verdict,
            Ok(None) => {}
            Ok(Some(data)) => {
                if let Ok(chunk) = serde_json::from_slice(&data) {
                    self.chunk(&chunk, out);
                }
            }
        }
        Verdict::Continue
    }

    fn end(&mut self, out: &mut VecDeque<Bytes>) -> Verdict {
        let mut unsaid = VecDeque::new();
        match self.inner.end(&mut unsaid) {
            Verdict::Complete | Verdict::Continue => self.finish(out),
            broken @ Verdict::Broken(_) => broken,
        }
    }

    fn is_whole(&self) -> bool {
        self.ended || self.inner.is_whole()
    }

    fn failure(&self, error: &ProxyError) -> Bytes {
        named_event("error", &envelope::anthropic(error, None))
    }

    fn pieces(&self) -> u64 {
        self.inner.pieces()
    }

    fn tally(&self) -> Tally {
        self.inner.tally()
    }
}
