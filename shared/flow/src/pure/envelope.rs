//! Objects of an agreed shape: contexts, meta data and scratchpads.

use super::call::{Call, listed, single, text_of};
use crate::py::{strip, to_float};
use domain::Object;
use serde_json::Value;

node_types! {
    /// Nodes that build an agreed object from its parts.
    Envelope {
        MakeContext = "make_context",
        MakeMeta = "make_meta",
        MakeScratchpad = "make_scratchpad",
    }
}

/// What a meta object says of itself unless told otherwise.
const META_SCHEMA: &str = "abstractcode.agent.v1.meta";

pub(super) fn eval(node: Envelope, call: &Call<'_>) -> Value {
    match node {
        Envelope::MakeContext => single("context", Value::Object(context(call))),
        Envelope::MakeMeta => single("meta", Value::Object(meta(call))),
        Envelope::MakeScratchpad => single("scratchpad", Value::Object(scratchpad(call))),
    }
}

fn context(call: &Call<'_>) -> Object {
    let mut out = extra(call, "context_extra");
    put(&mut out, "task", Value::from(call.text_or_empty("task")));
    put(&mut out, "messages", Value::from(listed(call.value("messages"))));
    out
}

fn scratchpad(call: &Call<'_>) -> Object {
    let mut out = Object::new();
    for pin in ["sub_run_id", "workflow_id"] {
        put_text(&mut out, pin, call.value(pin));
    }
    put(&mut out, "task", Value::from(call.text_or_empty("task")));
    put(&mut out, "messages", Value::from(listed(call.value("messages"))));
    if call.value("context_extra").is_object() {
        put(&mut out, "context_extra", call.value("context_extra").clone());
    }
    put(&mut out, "node_traces", Value::Object(extra(call, "node_traces")));
    for pin in ["steps", "tool_calls", "tool_results"] {
        put(&mut out, pin, Value::from(listed(call.value(pin))));
    }
    out
}

fn meta(call: &Call<'_>) -> Object {
    let mut out = extra(call, "extra");
    let schema = call.value("schema").as_str().map(strip).filter(|schema| !schema.is_empty());
    put(&mut out, "schema", Value::from(schema.unwrap_or(META_SCHEMA)));
    put(&mut out, "version", whole(call.value("version")).unwrap_or(Value::from(1)));
    put_text(&mut out, "output_mode", call.value("output_mode"));
    for pin in ["provider", "model"] {
        let named = Value::from(call.text_or_empty(pin));
        put_text(&mut out, pin, &named);
    }
    put_text(&mut out, "sub_run_id", call.value("sub_run_id"));
    for pin in ["iterations", "tool_calls", "tool_results"] {
        if let Some(count) = whole(call.value(pin)) {
            put(&mut out, pin, count);
        }
    }
    put_text(&mut out, "finish_reason", call.value("finish_reason"));
    for pin in ["gen_time", "ttft_ms"] {
        let value = call.value(pin);
        if !value.is_null() && !value.is_boolean() {
            put(&mut out, pin, value.clone());
        }
    }
    if call.value("usage").is_object() {
        put(&mut out, "usage", call.value("usage").clone());
    }
    put_trace(&mut out, call);
    put_warnings(&mut out, call.value("warnings"));
    if !call.value("debug").is_null() {
        put(&mut out, "debug", call.value("debug").clone());
    }
    out
}

fn put_trace(out: &mut Object, call: &Call<'_>) {
    let mut trace = extra(call, "trace");
    put_text(&mut trace, "trace_id", call.value("trace"));
    put_text(&mut trace, "trace_id", call.value("trace_id"));
    if !trace.is_empty() || call.value("trace").is_object() {
        put(out, "trace", Value::Object(trace));
    }
}

fn put_warnings(out: &mut Object, warnings: &Value) {
    let texts: Vec<Value> = match warnings {
        Value::Array(items) => {
            let texts = items.iter().map(text_of).filter(|text| !strip(text).is_empty());
            texts.map(Value::from).collect()
        }
        Value::String(text) if !strip(text).is_empty() => vec![Value::from(strip(text))],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => return,
    };
    put(out, "warnings", Value::Array(texts));
}

fn put(out: &mut Object, key: &str, value: Value) {
    out.insert(key.to_owned(), value);
}

/// Puts a text, trimmed, unless it is none or blank.
fn put_text(out: &mut Object, key: &str, value: &Value) {
    if let Some(text) = value.as_str().map(strip).filter(|text| !text.is_empty()) {
        put(out, key, Value::from(text));
    }
}

fn extra(call: &Call<'_>, pin: &str) -> Object {
    call.value(pin).as_object().cloned().unwrap_or_default()
}

/// The whole part of a number or of a text that is one.
fn whole(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) if !number.is_f64() => Some(value.clone()),
        // The cast saturates.
        Value::Number(_) | Value::String(_) => {
            to_float(value).ok().filter(|number| number.is_finite()).map(|number| Value::from(number as i64))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
