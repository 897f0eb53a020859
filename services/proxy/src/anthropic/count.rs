//! How many tokens a messages request has: asked of the backend's tokenizer, or estimated.

use super::request::to_chat;
use crate::backends::Tokenizer;
use crate::error::ProxyError;
use crate::json::Pieces;
use crate::relay::client::{Call, read_whole};
use crate::relay::job::Job;
use crate::routing::Replica;
use crate::usage;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

/// Bytes of a tokenizer's answer, which may list every token.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Tokens that a chat template adds to each message, on average.
const PER_MESSAGE: u64 = 4;

/// `{"input_tokens":n}` for a backend that has no such route.
pub(crate) async fn count(job: &Job, replica: &Replica) -> Result<Bytes, ProxyError> {
    let chat = to_chat(&job.body, replica.upstream_name.as_deref().or(Some(&job.model.name)), false)?;
    let chat: Value = serde_json::from_slice(&chat).unwrap_or_default();
    let (text, messages) = spoken(&chat);
    let counted = ask(job, replica, &text).await.unwrap_or_else(|| usage::estimate(text.len()));
    Ok(json!({"input_tokens": counted + PER_MESSAGE * messages}).to_string().into())
}

/// All that the model will read, and how many messages there are.
fn spoken(chat: &Value) -> (String, u64) {
    let mut text = String::new();
    let messages = chat["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    for message in messages {
        match &message["content"] {
            Value::String(content) => text.push_str(content),
            Value::Array(parts) => {
                parts.iter().filter_map(|part| part["text"].as_str()).for_each(|part| text.push_str(part))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
        if message["tool_calls"].is_array() {
            text.push_str(&message["tool_calls"].to_string());
        }
    }
    if chat["tools"].is_array() {
        text.push_str(&chat["tools"].to_string());
    }
    (text, messages.len() as u64)
}

async fn ask(job: &Job, replica: &Replica, text: &str) -> Option<u64> {
    let backend = &replica.backend;
    let model = replica.upstream_name.as_deref().unwrap_or(&job.model.name);
    let (path, body) = match backend.kind.tokenizer {
        Tokenizer::None => return None,
        Tokenizer::Prompt(path) => (path, json!({"model": model, "prompt": text})),
        Tokenizer::Content(path) => (path, json!({"content": text})),
    };
    let body = Pieces::whole(body.to_string().into());
    let call = Call { method: Method::POST, uri: backend.beside_api(path)?, headers: &job.headers, body, asked: None };
    let answer = job.upstream.send(backend, &call).await.ok().filter(|answer| answer.status().is_success())?;
    let answer: Value =
        serde_json::from_slice(&read_whole(backend, answer.into_body(), ANSWER_BYTES).await.ok()?).ok()?;
    answer["count"].as_u64().or_else(|| answer["tokens"].as_array().map(|tokens| tokens.len() as u64))
}
