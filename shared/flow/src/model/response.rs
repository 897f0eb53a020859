//! From a model server's answer to the result that an `llm_call` records.

use crate::pure::read_json;
use domain::Object;
use serde_json::{Value, json};

/// How often a call whose answer was cut off is sent again, each time with twice the output tokens.
pub const TRUNCATION_TRIES: u32 = 3;

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No chat completion.
    #[error("the model server's answer is no chat completion: {0}")]
    Malformed(String),
    /// The answer stops in the middle.
    #[error("the model's answer was cut off at the limit of output tokens (finish_reason {0})")]
    Truncated(String),
    /// A schema was asked for and the answer is not JSON.
    #[error("the model was asked for JSON and answered with other text: {0}")]
    NotJson(String),
}

/// The result to record. `trace_id` names the call; `gen_time` is in milliseconds.
pub fn result_from_response(
    payload: &Object,
    response: &Value,
    trace_id: &str,
    gen_time: f64,
) -> Result<Value, ModelError> {
    let malformed = |what: &str| ModelError::Malformed(what.to_owned());
    if let Some(error) = response.get("error").filter(|error| !error.is_null()) {
        let text = error.get("message").unwrap_or(error);
        return Err(ModelError::Malformed(text.as_str().map_or_else(|| text.to_string(), str::to_owned)));
    }
    let choice = response.pointer("/choices/0").ok_or_else(|| malformed("it has no choices"))?;
    let message =
        choice.get("message").and_then(Value::as_object).ok_or_else(|| malformed("its choice has no message"))?;
    let finish = choice.get("finish_reason").and_then(Value::as_str);
    let may_stop_short = payload.get("allow_truncation").and_then(Value::as_bool).unwrap_or_default();
    if let Some(reason) = finish.filter(|reason| matches!(*reason, "length" | "max_tokens") && !may_stop_short) {
        return Err(ModelError::Truncated(reason.to_owned()));
    }
    let content = message.get("content").and_then(Value::as_str);
    let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|key| message.get(*key)).and_then(Value::as_str);
    let data = match payload.get("response_schema") {
        Some(_) => Some(structured(content.unwrap_or_default())?),
        None => None,
    };
    let provider = payload.get("provider").cloned();
    let mut result = Object::new();
    result.insert("content".to_owned(), json!(content));
    result.insert("reasoning".to_owned(), json!(reasoning));
    result.insert("data".to_owned(), json!(data));
    result.insert("raw_response".to_owned(), response.clone());
    result.insert("tool_calls".to_owned(), json!(tool_calls(message)));
    result.insert("usage".to_owned(), json!(usage(response.get("usage"))));
    result.insert("model".to_owned(), json!(response.get("model").or_else(|| payload.get("model"))));
    result.insert("finish_reason".to_owned(), json!(finish));
    result.insert("metadata".to_owned(), json!({"trace_id": trace_id}));
    result.insert("trace_id".to_owned(), json!(trace_id));
    result.insert("gen_time".to_owned(), json!(gen_time));
    if let Some(provider) = provider {
        result.insert("provider".to_owned(), provider);
    }
    Ok(Value::Object(result))
}

fn structured(content: &str) -> Result<Value, ModelError> {
    read_json(content).map_err(|exception| ModelError::NotJson(exception.to_string()))
}

/// Calls as nodes see them: name, arguments as an object where they are one, and the model's id of the call.
fn tool_calls(message: &Object) -> Option<Vec<Value>> {
    let calls = message.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty())?;
    let call = |call: &Value| {
        let function = call.get("function").unwrap_or(call);
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            other => json!(other),
        };
        json!({"name": function.get("name"), "arguments": arguments, "call_id": call.get("id")})
    };
    Some(calls.iter().map(call).collect())
}

/// Token counts under both names that clients read.
fn usage(usage: Option<&Value>) -> Option<Object> {
    let usage = usage?.as_object()?;
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(*name)).and_then(Value::as_u64);
    let input = count(["input_tokens", "prompt_tokens"]).unwrap_or_default();
    let output = count(["output_tokens", "completion_tokens"]).unwrap_or_default();
    let total = usage.get("total_tokens").and_then(Value::as_u64).unwrap_or(input + output);
    let mut counts = Object::new();
    counts.insert("input_tokens".to_owned(), json!(input));
    counts.insert("output_tokens".to_owned(), json!(output));
    counts.insert("total_tokens".to_owned(), json!(total));
    for (key, value) in usage {
        counts.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Some(counts)
}

/// The same request with twice the room for output, after an answer was cut off.
pub fn larger_request(body: &Object) -> Object {
    let mut body = body.clone();
    let limit = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(4096);
    body.insert("max_tokens".to_owned(), json!(limit.saturating_mul(2)));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(payload: Value, message: Value, finish: &str) -> Result<Value, ModelError> {
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
        let response =
            json!({"model": "m", "choices": [{"message": message, "finish_reason": finish}], "usage": usage});
        result_from_response(payload.as_object().unwrap(), &response, "t", 1.5)
    }

    #[test]
    fn an_answer_carries_content_usage_and_calls() {
        let call = json!({"id": "c1", "function": {"name": "f", "arguments": "{\"a\": 1}"}});
        let result = result(json!({}), json!({"content": "hi", "tool_calls": [call]}), "stop").unwrap();
        assert_eq!(result["content"], "hi");
        assert_eq!(result["usage"]["input_tokens"], 10);
        assert_eq!(result["usage"]["prompt_tokens"], 10);
        assert_eq!(result["tool_calls"], json!([{"name": "f", "arguments": {"a": 1}, "call_id": "c1"}]));
        assert_eq!(result["data"], Value::Null);
    }

    #[test]
    fn a_cut_off_answer_is_an_error_and_a_larger_request_follows() {
        assert!(matches!(result(json!({}), json!({"content": "h"}), "length"), Err(ModelError::Truncated(_))));
        let body = Object::from_iter([("max_tokens".to_owned(), json!(100))]);
        assert_eq!(larger_request(&body)["max_tokens"], 200);
    }

    #[test]
    fn structured_answers_are_parsed_also_from_a_fence() {
        let schema = json!({"response_schema": {"type": "object"}});
        let fenced = json!({"content": "```json\n{\"n\": 4}\n```"});
        assert_eq!(result(schema.clone(), fenced, "stop").unwrap()["data"], json!({"n": 4}));
        assert!(matches!(result(schema, json!({"content": "no"}), "stop"), Err(ModelError::NotJson(_))));
    }
}
