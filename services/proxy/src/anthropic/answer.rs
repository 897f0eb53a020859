//! A whole chat completion as a message.

use super::{stop_reason, stop_sequence};
use bytes::Bytes;
use serde_json::{Value, json};

/// The same answer in Anthropic's words, for the model as the client named it.
pub(crate) fn from_chat(text: &Bytes, model: &str) -> Result<Bytes, String> {
    let from: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let choice = from["choices"].get(0).ok_or("no choices")?;
    let message = &choice["message"];
    let mut content = Vec::new();
    if let Some(thought) = thought_of(message) {
        content.push(json!({"type": "thinking", "thinking": thought, "signature": ""}));
    }
    if let Some(text) = message["content"].as_str().filter(|text| !text.is_empty()) {
        content.push(json!({"type": "text", "text": text}));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        content.push(json!({
            "type": "tool_use",
            "id": call["id"].as_str().map_or_else(new_call_id, str::to_owned),
            "name": call["function"]["name"],
            "input": input_of(&call["function"]["arguments"]),
        }));
    }
    let finish = choice["finish_reason"].as_str().ok_or("no finish_reason")?;
    let called = message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    let sequence = stop_sequence(choice).filter(|_| finish == "stop" && !called);
    let stop = if called && finish == "stop" { "tool_use" } else { stop_reason(finish, sequence) };
    let answer = json!({
        "id": message_id(&from["id"]),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": sequence,
        "usage": usage(&from["usage"]),
    });
    Ok(answer.to_string().into())
}

/// Reasoning goes by two names.
pub(super) fn thought_of(message: &Value) -> Option<&str> {
    let found = message["reasoning_content"].as_str().or_else(|| message["reasoning"].as_str());
    found.filter(|text| !text.is_empty())
}

/// Anthropic counts what came from the cache apart.
pub(super) fn usage(from: &Value) -> Value {
    let cached = from["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0);
    let prompt = from["prompt_tokens"].as_u64().unwrap_or(0);
    let mut usage = json!({
        "input_tokens": prompt.saturating_sub(cached),
        "output_tokens": from["completion_tokens"].as_u64().unwrap_or(0),
    });
    if cached > 0 {
        usage["cache_read_input_tokens"] = json!(cached);
    }
    usage
}

pub(super) fn message_id(from: &Value) -> String {
    format!(
        "msg_{}",
        from.as_str()
            .filter(|id| !id.is_empty())
            .map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned)
    )
}

fn new_call_id() -> String {
    format!("toolu_{}", uuid::Uuid::new_v4().simple())
}

/// Arguments that are no JSON must not be lost, and must not break the client's reading of the rest.
fn input_of(arguments: &Value) -> Value {
    match arguments {
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(input) if input.is_object() => input,
            Ok(_) | Err(_) => json!({"arguments": text}),
        },
        Value::Object(_) => arguments.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => json!({}),
    }
}
