//! A messages request as a chat completion request.

use crate::error::ProxyError;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The same request in OpenAI's words. `model` takes the place of the one that was named.
pub(crate) fn to_chat(body: &Bytes, model: Option<&str>, ask_usage: bool) -> Result<Bytes, ProxyError> {
    let from: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| ProxyError::BadBody(error.to_string()))?;
    let mut to = Map::new();
    to.insert("model".to_owned(), json!(model));
    to.insert("messages".to_owned(), Value::Array(messages(&from)?));
    for (theirs, ours) in [
        ("max_tokens", "max_tokens"),
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("stop_sequences", "stop"),
        ("stream", "stream"),
    ] {
        if let Some(value) = from.get(theirs).filter(|value| !value.is_null()) {
            to.insert(ours.to_owned(), value.clone());
        }
    }
    if ask_usage && from.get("stream") == Some(&Value::Bool(true)) {
        to.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if let Some(user) =
        from.get("metadata").and_then(|metadata| metadata.get("user_id")).filter(|user| user.is_string())
    {
        to.insert("user".to_owned(), user.clone());
    }
    refuse_what_runs_there(&from)?;
    tools(&from, &mut to)?;
    thinking(&from, &mut to);
    form(&from, &mut to)?;
    Ok(Value::Object(to).to_string().into())
}

fn messages(from: &Map<String, Value>) -> Result<Vec<Value>, ProxyError> {
    let mut messages = Vec::new();
    if let Some(system) = from.get("system").filter(|system| !system.is_null()) {
        messages.push(json!({"role": "system", "content": text_of(system, false)?}));
    }
    let list = from.get("messages").and_then(Value::as_array).ok_or_else(|| bad("messages: a list is needed"))?;
    for message in list {
        match message["role"].as_str() {
            Some("assistant") => messages.push(assistant(&message["content"])?),
            Some("user") => user(&message["content"], &mut messages)?,
            Some("system") => messages.push(json!({"role": "system", "content": text_of(&message["content"], false)?})),
            _ => return Err(bad("messages: a role must be 'user' or 'assistant'")),
        }
    }
    Ok(messages)
}

/// A user's turn: results of tools become messages of their own and go first, as OpenAI wants them behind the call.
fn user(content: &Value, messages: &mut Vec<Value>) -> Result<(), ProxyError> {
    let mut parts = Vec::new();
    for block in blocks(content)? {
        match block["type"].as_str() {
            Some("text") => parts.push(json!({"type": "text", "text": block["text"]})),
            Some("image") => {
                parts.push(json!({"type": "image_url", "image_url": {"url": image_url(&block["source"])?}}))
            }
            Some("document") => parts.push(json!({"type": "text", "text": document(&block)?})),
            Some("tool_result") => {
                let mut text = text_of(&block["content"], true)?;
                if block["is_error"] == true {
                    text = format!("Error: {text}");
                }
                messages.push(json!({"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}));
                parts.extend(images_of(&block["content"])?);
            }
            other => return Err(unknown_block(other)),
        }
    }
    // A text alone is what every chat template understands.
    match parts.as_slice() {
        [] => {}
        [only] if only["type"] == "text" => messages.push(json!({"role": "user", "content": only["text"]})),
        _ => messages.push(json!({"role": "user", "content": parts})),
    }
    Ok(())
}

fn assistant(content: &Value) -> Result<Value, ProxyError> {
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), Vec::new());
    for block in blocks(content)? {
        match block["type"].as_str() {
            Some("text") => text.push_str(block["text"].as_str().unwrap_or_default()),
            Some("thinking") => thought.push_str(block["thinking"].as_str().unwrap_or_default()),
            Some("redacted_thinking") => {}
            Some("tool_use") => calls.push(json!({
                "id": block["id"], "type": "function",
                "function": {"name": block["name"], "arguments": block["input"].to_string()},
            })),
            other => return Err(unknown_block(other)),
        }
    }
    let mut message = json!({"role": "assistant", "content": if text.is_empty() && !calls.is_empty() { Value::Null } else { json!(text) }});
    if !thought.is_empty() {
        message["reasoning_content"] = json!(thought);
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    Ok(message)
}

fn tools(from: &Map<String, Value>, to: &mut Map<String, Value>) -> Result<(), ProxyError> {
    let Some(tools) = from.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty()) else {
        return Ok(());
    };
    let function = |tool: &Value| {
        if !tool["input_schema"].is_object() {
            let name = tool["name"].as_str().or_else(|| tool["type"].as_str()).unwrap_or_default();
            return Err(ProxyError::Unsupported(format!(
                "tools: '{name}' runs at Anthropic and has no schema; this model server cannot offer it"
            )));
        }
        let mut function = json!({"name": tool["name"], "parameters": tool["input_schema"]});
        if tool["description"].is_string() {
            function["description"] = tool["description"].clone();
        }
        Ok(json!({"type": "function", "function": function}))
    };
    to.insert("tools".to_owned(), tools.iter().map(function).collect::<Result<Vec<_>, _>>()?.into());
    let Some(choice) = from.get("tool_choice") else {
        return Ok(());
    };
    let ours = match choice["type"].as_str() {
        Some("any") => json!("required"),
        Some("none") => json!("none"),
        Some("tool") => json!({"type": "function", "function": {"name": choice["name"]}}),
        _ => json!("auto"),
    };
    to.insert("tool_choice".to_owned(), ours);
    if choice["disable_parallel_tool_use"] == true {
        to.insert("parallel_tool_calls".to_owned(), json!(false));
    }
    Ok(())
}

/// What only Anthropic's own servers do is not left out in silence.
fn refuse_what_runs_there(from: &Map<String, Value>) -> Result<(), ProxyError> {
    let is_said = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    for name in ["mcp_servers", "container"] {
        if from.get(name).is_some_and(is_said) {
            return Err(ProxyError::Unsupported(format!(
                "{name}: this runs at Anthropic, and not at this model server"
            )));
        }
    }
    Ok(())
}

/// The form that the answer must have.
fn form(from: &Map<String, Value>, to: &mut Map<String, Value>) -> Result<(), ProxyError> {
    let config = from.get("output_config").and_then(|config| config.get("format"));
    let Some(format) = config.or_else(|| from.get("output_format")).filter(|format| !format.is_null()) else {
        return Ok(());
    };
    if format["type"] != "json_schema" || !format["schema"].is_object() {
        return Err(ProxyError::Unsupported(
            "output format: only 'json_schema' with a schema is known here".to_owned(),
        ));
    }
    let schema = json!({"name": "answer", "schema": format["schema"], "strict": true});
    to.insert("response_format".to_owned(), json!({"type": "json_schema", "json_schema": schema}));
    Ok(())
}

/// A budget for thinking has no twin; the nearest is how hard to try.
fn thinking(from: &Map<String, Value>, to: &mut Map<String, Value>) {
    if let Some(effort) = from.get("output_config").and_then(|config| config.get("effort")?.as_str()) {
        // Nobody else knows a word above the third.
        let effort = if matches!(effort, "low" | "medium") { effort } else { "high" };
        to.insert("reasoning_effort".to_owned(), json!(effort));
        return;
    }
    let Some(thinking) = from.get("thinking").filter(|thinking| thinking["type"] == "enabled") else {
        return;
    };
    let effort = match thinking["budget_tokens"].as_u64().unwrap_or(0) {
        0..4_096 => "low",
        4_096..16_384 => "medium",
        _ => "high",
    };
    to.insert("reasoning_effort".to_owned(), json!(effort));
}

fn blocks(content: &Value) -> Result<Vec<Value>, ProxyError> {
    match content {
        Value::String(text) => Ok(vec![json!({"type": "text", "text": text})]),
        Value::Array(blocks) => Ok(blocks.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(bad("messages: content must be a text or a list of blocks"))
        }
    }
}

/// The text of a content that may be a text or a list of blocks; whoever takes the images in it says so.
fn text_of(content: &Value, images_apart: bool) -> Result<String, ProxyError> {
    if content.is_null() {
        return Ok(String::new());
    }
    let mut texts = Vec::new();
    for block in blocks(content)? {
        match block["type"].as_str() {
            Some("text") => texts.push(block["text"].as_str().unwrap_or_default().to_owned()),
            Some("document") => texts.push(document(&block)?),
            Some("image") if images_apart => {}
            other => return Err(unknown_block(other)),
        }
    }
    Ok(texts.join("\n"))
}

fn images_of(content: &Value) -> Result<Vec<Value>, ProxyError> {
    let Value::Array(blocks) = content else {
        return Ok(Vec::new());
    };
    let images = blocks.iter().filter(|block| block["type"] == "image");
    images.map(|block| Ok(json!({"type": "image_url", "image_url": {"url": image_url(&block["source"])?}}))).collect()
}

fn image_url(source: &Value) -> Result<String, ProxyError> {
    match source["type"].as_str() {
        Some("base64") => {
            let kind = source["media_type"].as_str().unwrap_or("image/png");
            let data = source["data"].as_str().ok_or_else(|| bad("messages: an image has no data"))?;
            Ok(format!("data:{kind};base64,{data}"))
        }
        Some("url") => source["url"].as_str().map(str::to_owned).ok_or_else(|| bad("messages: an image has no url")),
        _ => {
            Err(ProxyError::Unsupported("messages: images must come as base64 or url to this model server".to_owned()))
        }
    }
}

fn document(block: &Value) -> Result<String, ProxyError> {
    let text = (block["source"]["type"] == "text").then(|| block["source"]["data"].as_str()).flatten();
    text.map(str::to_owned).ok_or_else(|| {
        ProxyError::Unsupported("messages: this model server reads only documents of plain text".to_owned())
    })
}

fn unknown_block(kind: Option<&str>) -> ProxyError {
    let kind = kind.unwrap_or("without a type");
    ProxyError::Unsupported(format!("messages: a block '{kind}' cannot be put into words that this model server knows"))
}

fn bad(message: &str) -> ProxyError {
    ProxyError::BadBody(message.to_owned())
}
