//! From a recorded `llm_call` payload to the body of `POST /v1/chat/completions`.

use crate::py::json_compact;
use domain::Object;
use serde_json::{Value, json};

/// Said once to a model that is told the date in front of the prompt.
const GROUNDING: &str = "The newest user message can start with a <runtime_metadata>{...}</runtime_metadata> block. \
     The gateway wrote it to tell the current date and time; the user did not. Do not mention it and do not infer a \
     language from it.";

/// What a deployment adds to a call that leaves it open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The model when the call names none.
    pub model: String,
    /// The limit on output tokens when the call sets none; none leaves it to the server.
    pub max_output_tokens: Option<u64>,
}

/// The body to send for a recorded call.
pub fn request_body(payload: &Object, defaults: &Defaults) -> Object {
    let model = payload.get("model").and_then(Value::as_str).unwrap_or(&defaults.model);
    let mut body = Object::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), Value::Array(messages(payload)));
    body.insert("stream".to_owned(), json!(false));
    let params = payload.get("params").and_then(Value::as_object);
    let param = |key: &str| params.and_then(|params| params.get(key)).filter(|value| !value.is_null());
    for key in ["temperature", "seed", "top_p"] {
        if let Some(value) = param(key) {
            body.insert(key.to_owned(), value.clone());
        }
    }
    let limit = param("max_output_tokens").cloned().or_else(|| defaults.max_output_tokens.map(Value::from));
    if let Some(limit) = limit {
        body.insert("max_tokens".to_owned(), limit);
    }
    if let Some(effort) = param("thinking").and_then(effort) {
        body.insert("reasoning_effort".to_owned(), json!(effort));
    }
    let tools = payload.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !tools.is_empty() {
        let tools: Vec<Value> = tools.iter().map(|tool| json!({"type": "function", "function": tool})).collect();
        body.insert("tools".to_owned(), Value::Array(tools));
    }
    if let Some(schema) = payload.get("response_schema") {
        let name = payload.get("response_schema_name").and_then(Value::as_str).unwrap_or("output");
        let format = json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema}});
        body.insert("response_format".to_owned(), format);
    }
    body
}

/// The words that servers take for how hard to think.
fn effort(thinking: &Value) -> Option<&str> {
    match thinking {
        Value::Bool(true) => Some("medium"),
        Value::String(word) => match word.as_str() {
            "low" | "medium" | "high" => Some(word),
            "xhigh" => Some("high"),
            _ => None,
        },
        Value::Null | Value::Bool(false) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn messages(payload: &Object) -> Vec<Value> {
    let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut messages = match payload.get("messages").and_then(Value::as_array) {
        Some(messages) => messages.iter().map(plain).collect(),
        None => Vec::new(),
    };
    let mut system = text("system_prompt").to_owned();
    for message in &messages {
        if message["role"] == "system" {
            append(&mut system, message["content"].as_str().unwrap_or_default());
        }
    }
    messages.retain(|message| message["role"] != "system");
    append(&mut system, GROUNDING);
    if let Some(schema) = payload.get("response_schema") {
        append(
            &mut system,
            &format!("Answer with one JSON value that fits this schema and nothing else: {}", json_compact(schema)),
        );
    }
    messages.insert(0, json!({"role": "system", "content": system}));
    if !text("prompt").is_empty() {
        messages.push(json!({"role": "user", "content": text("prompt")}));
    }
    messages
}

fn append(text: &mut String, part: &str) {
    if !text.is_empty() && !part.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(part);
}

/// A message with only the keys that model servers know.
fn plain(message: &Value) -> Value {
    let known = ["role", "content", "name", "tool_calls", "tool_call_id"];
    let kept = known.iter().filter_map(|key| Some(((*key).to_owned(), message.get(*key)?.clone())));
    let mut message: Object = kept.collect();
    message.entry("role").or_insert_with(|| json!("user"));
    message.entry("content").or_insert_with(|| json!(""));
    Value::Object(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(payload: Value) -> Value {
        let defaults = Defaults { model: "m".to_owned(), max_output_tokens: Some(7) };
        Value::Object(request_body(payload.as_object().unwrap(), &defaults))
    }

    #[test]
    fn a_prompt_becomes_a_system_and_a_user_message() {
        let body = body(json!({"prompt": "hi", "system_prompt": "Be brief.", "params": {"temperature": 0.0}}));
        assert_eq!(body["model"], "m");
        assert_eq!(body["max_tokens"], 7);
        assert!(body["messages"][0]["content"].as_str().unwrap().starts_with("Be brief.\n\n"));
        assert_eq!(body["messages"][1], json!({"role": "user", "content": "hi"}));
    }

    #[test]
    fn kept_messages_are_sent_without_the_metadata_of_the_gateway() {
        let message = json!({"role": "user", "content": "x", "timestamp": "t", "metadata": {"a": 1}});
        let body = body(json!({"messages": [message], "model": "own"}));
        assert_eq!(body["model"], "own");
        assert_eq!(body["messages"][1], json!({"role": "user", "content": "x"}));
    }
}
