//! `llm_call`: the request as it is recorded, and what its answer means for other nodes.

use super::machine::Machine;
use super::plan::{Plan, text_of};
use super::pull::Ambient;
use crate::compile::{Node, text};
use crate::py::{Exception, Raise, json_compact, to_float, to_int, truthy};
use domain::{EffectRecord, Object};
use serde_json::{Value, json};

/// Inputs of the node.
const PINS: &[&str] = &[
    "use_context",
    "include_context",
    "context",
    "provider",
    "model",
    "system",
    "system_prompt",
    "prompt",
    "tools",
    "temperature",
    "seed",
    "thinking",
    "max_in_tokens",
    "max_output_tokens",
    "resp_schema",
    "response_schema",
    "prompt_cache_binding",
    "use_span_memory",
    "use_kg_memory",
    "output",
];

impl Machine<'_> {
    pub(super) fn llm_call(&mut self, node: &Node) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(PINS))?;
        let settings = Settings { inputs: &inputs, config: node.config("effectConfig") };
        refuse_sources(node, &settings)?;
        let include_context = settings.get(&["use_context", "include_context"]).is_some_and(truthy);
        let prompt = text_of(&inputs, "prompt", "");
        let system = settings.get(&["system", "system_prompt"]).map(crate::py::to_str).unwrap_or_default();
        let mut payload = Object::new();
        payload.insert("type".to_owned(), json!("llm_call"));
        match self.messages(&inputs, include_context) {
            Some(context) => {
                payload.insert("messages".to_owned(), Value::Array(conversation(context, &system, &prompt)));
            }
            None => {
                payload.insert("prompt".to_owned(), json!(prompt));
                payload.insert("system_prompt".to_owned(), json!(system));
            }
        }
        payload.insert("tools".to_owned(), Value::Array(tools(settings.get(&["tools"]))));
        payload.insert("params".to_owned(), Value::Object(parameters(&settings)?));
        let route = |key| text(settings.get(&[key]));
        // Half a route is no route: the host's default has both parts.
        if let (Some(provider), Some(model)) = (route("provider"), route("model")) {
            payload.insert("provider".to_owned(), json!(provider));
            payload.insert("model".to_owned(), json!(model));
        }
        payload.insert("include_context".to_owned(), json!(include_context));
        if let Some(limit) = settings.get(&["max_in_tokens", "max_input_tokens"]).and_then(|limit| to_int(limit).ok()) {
            payload.insert("max_input_tokens".to_owned(), json!(limit));
        }
        if let Some(schema) = settings.get(&["resp_schema", "response_schema"]).filter(|schema| is_schema(schema)) {
            payload.insert("response_schema".to_owned(), schema.clone());
            payload.insert("response_schema_name".to_owned(), json!("LLM_StructuredOutput"));
        }
        if include_context {
            super::vars::child(&mut self.state.vars, "context");
            super::vars::child(&mut self.state.vars, "scratchpad");
        }
        Ok(self.effect_node(node, "llm_call", payload))
    }

    fn messages(&self, inputs: &Object, include_context: bool) -> Option<Vec<Value>> {
        let pin = inputs.get("context").and_then(|context| context.get("messages")).and_then(Value::as_array);
        let own = || super::messages::conversation(&self.state).filter(|_| include_context);
        pin.filter(|messages| !messages.is_empty()).or_else(own).cloned()
    }

    /// Puts the date line before the prompt, or before the last message of the user. The idempotency key is older.
    pub(super) fn grounded(&self, mut effect: EffectRecord) -> EffectRecord {
        if effect.kind != "llm_call" || !has_question(&effect.payload) {
            return effect;
        }
        let local = self.world.now.timestamp().to_zoned(self.world.zone.clone());
        let display = local.strftime("[%Y-%m-%d %H:%M:%S]").to_string();
        let moment = local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let line = json_compact(&json!({"display": display, "local_datetime": moment}));
        let ground = |text: &str| json!(format!("<runtime_metadata>{line}</runtime_metadata>\n{text}"));
        let prompt = effect.payload.get("prompt").and_then(Value::as_str).map(ground);
        if let Some(prompt) = prompt {
            effect.payload.insert("prompt".to_owned(), prompt);
            return effect;
        }
        let messages = effect.payload.get_mut("messages").and_then(Value::as_array_mut);
        let last = messages.into_iter().flatten().rev().find(|message| is_of(message, "user"));
        if let Some(content) = last.and_then(|message| message.get_mut("content"))
            && let Some(text) = content.as_str().map(ground)
        {
            *content = text;
        }
        effect
    }
}

struct Settings<'a> {
    inputs: &'a Object,
    config: Option<&'a Object>,
}

impl<'a> Settings<'a> {
    /// The first of these names that is set, on a pin or else in the node's settings.
    fn get(&self, names: &[&str]) -> Option<&'a Value> {
        let set = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        let pin = names.iter().find_map(|name| self.inputs.get(*name).filter(set));
        pin.or_else(|| names.iter().find_map(|name| self.config?.get(*name).filter(set)))
    }
}

fn refuse_sources(node: &Node, settings: &Settings<'_>) -> Result<(), Exception> {
    for source in ["use_span_memory", "use_kg_memory"] {
        if settings.get(&[source]).is_some_and(truthy) {
            let reason =
                format!("node '{}' (llm_call) asks for {source}, which this version does not execute yet", node.id);
            return Err(Exception::new(Raise::NotImplementedError, reason));
        }
    }
    Ok(())
}

fn is_schema(schema: &Value) -> bool {
    schema.as_object().is_some_and(|schema| !schema.is_empty())
}

/// The context, with the system text after its leading system messages and the prompt as the last message.
fn conversation(mut messages: Vec<Value>, system: &str, prompt: &str) -> Vec<Value> {
    if !system.trim().is_empty() {
        let place = messages.iter().take_while(|message| is_of(message, "system")).count();
        messages.insert(place, json!({"role": "system", "content": system}));
    }
    if !prompt.trim().is_empty() {
        messages.push(json!({"role": "user", "content": prompt}));
    }
    messages
}

fn is_of(message: &Value, role: &str) -> bool {
    message.get("role").and_then(Value::as_str) == Some(role)
}

/// Tools given as full specifications. Names alone need a tool list, which this version does not have: they are dropped.
fn tools(value: Option<&Value>) -> Vec<Value> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let complete = |tool: &&Value| text(tool.get("name")).is_some() && tool.is_object();
    list.iter()
        .filter(complete)
        .map(|tool| {
            let field = |key: &str| tool.get(key).cloned();
            json!({
                "name": field("name"),
                "description": field("description").unwrap_or_else(|| json!("")),
                "parameters": field("parameters").unwrap_or_else(|| json!({})),
            })
        })
        .collect()
}

fn parameters(settings: &Settings<'_>) -> Result<Object, Exception> {
    let mut params = Object::new();
    let temperature = settings.get(&["temperature"]).map_or(Ok(0.7), to_float)?;
    params.insert("temperature".to_owned(), json!(temperature));
    if let Some(seed) = settings.get(&["seed"]).and_then(|seed| to_int(seed).ok()).filter(|seed| *seed >= 0) {
        params.insert("seed".to_owned(), json!(seed));
    }
    if let Some(thinking) = settings.get(&["thinking"]) {
        params.insert("thinking".to_owned(), thinking.clone());
    }
    let limit = settings.get(&["max_output_tokens", "maxOutputTokens"]).and_then(|limit| to_int(limit).ok());
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        params.insert("max_output_tokens".to_owned(), json!(limit));
    }
    if let Some(binding) = settings.get(&["prompt_cache_binding"]).filter(|binding| binding.is_object()) {
        params.insert("prompt_cache_binding".to_owned(), binding.clone());
    }
    Ok(params)
}

/// Whether there is anything to ask.
pub(super) fn has_question(payload: &Object) -> bool {
    let prompt = payload.get("prompt").and_then(Value::as_str).is_some_and(|prompt| !prompt.trim().is_empty());
    prompt || payload.get("messages").and_then(Value::as_array).is_some_and(|messages| !messages.is_empty())
}

/// The text that the user sent, as recorded.
pub(super) fn user_text(payload: &Object) -> String {
    let messages = payload.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let last = messages.iter().rev().find(|message| is_of(message, "user")).and_then(|message| message.get("content"));
    last.or_else(|| payload.get("prompt")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The answer as text: the data when it is structured, else the content.
pub(super) fn response_text(result: &Value) -> String {
    match result.get("data").filter(|data| data.is_object() || data.is_array()) {
        Some(data) => json_compact(data),
        None => result.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}

/// What other nodes read of an answer; the whole of it only for the pins that are the whole of it.
pub(super) fn outputs(node: &Node, result: &Value, pin: &str) -> Value {
    if matches!(pin, "raw" | "result") {
        return json!({"raw": result, "result": result});
    }
    let field = |key: &str| result.get(key).filter(|value| !value.is_null()).cloned();
    let tool_calls = field("tool_calls").unwrap_or_else(|| json!([]));
    let structured = field("data").is_some();
    let mut meta = Object::new();
    meta.insert("schema".to_owned(), json!("abstractflow.llm_call.v1.meta"));
    meta.insert("version".to_owned(), json!(1));
    meta.insert("output_mode".to_owned(), json!(if structured { "structured" } else { "unstructured" }));
    meta.insert("tool_calls".to_owned(), json!(tool_calls.as_array().map_or(0, Vec::len)));
    let config = |key: &str| node.config("effectConfig").and_then(|config| config.get(key)).cloned();
    let provider = field("provider").or_else(|| config("provider"));
    let trace = field("trace_id").map(|id| json!({"trace_id": id}));
    let rest = [
        ("provider", provider),
        ("model", field("model").or_else(|| config("model"))),
        ("finish_reason", field("finish_reason")),
        ("usage", field("usage")),
        ("trace", trace),
        ("gen_time", field("gen_time")),
        ("ttft_ms", field("ttft_ms")),
    ];
    meta.extend(rest.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    json!({
        "response": response_text(result),
        "data": field("data"),
        "tool_calls": tool_calls,
        "success": true,
        "meta": meta,
        "gen_time": field("gen_time"),
        "ttft_ms": field("ttft_ms"),
    })
}
