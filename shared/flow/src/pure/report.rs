//! Texts about what tools and agents did, for people and for models.

use super::call::{Call, listed, text_of};
use crate::py::{Exception, Writer, json_compact, strip};
use domain::Object;
use serde_json::Value;
use std::borrow::Cow;

node_types! {
    /// Nodes that describe what happened.
    Report {
        FormatToolResults = "format_tool_results",
        AgentTraceReport = "agent_trace_report",
    }
}

/// Longest argument that is shown, in characters.
const ARGUMENT_CHARS: usize = 160;
/// Longest observation that is shown, in characters.
const OBSERVATION_CHARS: usize = 420;
/// Steps of a trace that are shown; the rest is counted.
const STEPS: usize = 1_000;

pub(super) fn eval(node: Report, call: &Call<'_>) -> Result<Value, Exception> {
    let text = match node {
        Report::FormatToolResults => tool_results(call)?,
        Report::AgentTraceReport => trace_report(call.value("scratchpad"))?,
    };
    Ok(Value::String(text))
}

fn tool_results(call: &Call<'_>) -> Result<String, Exception> {
    let named = call.inputs.get("tool_results").filter(|results| !results.is_null());
    let results = listed(named.unwrap_or(call.value("results")));
    let mut out = Writer::default();
    for (index, result) in results.iter().filter_map(Value::as_object).enumerate() {
        out.push(if index > 0 { "\n" } else { "" })?;
        out.push(&result_line(result, None))?;
    }
    Ok(out.finish())
}

/// `- name(argument) [STATUS] : observation`.
fn result_line(result: &Object, call: Option<&Object>) -> String {
    let field = |key: &str| result.get(key).unwrap_or(&Value::Null);
    let status = match field("success").as_bool() {
        Some(true) => "SUCCESS",
        Some(false) => "FAILURE",
        None => "DONE",
    };
    let error = shown(field("error"), OBSERVATION_CHARS);
    let rendered = field("output").get("rendered").and_then(Value::as_str).map(strip);
    let observation = match rendered.filter(|text| !text.is_empty()) {
        _ if status == "FAILURE" && !error.is_empty() => error,
        Some(rendered) => rendered.to_owned(),
        None => shown(field("output"), OBSERVATION_CHARS),
    };
    let observation = if observation.is_empty() { "(no output)".to_owned() } else { observation };
    format!("- {} [{status}] : {observation}", signature(result, call))
}

/// The tool with its first argument; where the arguments are not known, with the first field of its output.
fn signature(result: &Object, call: Option<&Object>) -> String {
    let name = |object: &Object| {
        let named = ["name", "tool"].into_iter().filter_map(|key| object.get(key)?.as_str()).map(strip);
        named.into_iter().find(|name| !name.is_empty()).map(|name| clamp(name, ARGUMENT_CHARS))
    };
    let tool = name(result).or_else(|| name(call?)).unwrap_or_else(|| "tool".to_owned());
    let sources = [call.and_then(|call| call.get("arguments")), result.get("arguments"), result.get("output")];
    let fields = sources.into_iter().flatten().filter_map(Value::as_object).flat_map(Object::values);
    let argument = fields.into_iter().find(|value| !value.is_null());
    format!("{tool}({})", argument.map_or_else(String::new, |value| shown(value, ARGUMENT_CHARS)))
}

/// A value on one line, cut to a length.
fn shown(value: &Value, chars: usize) -> String {
    let text: Cow<'_, str> = match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Number(_) | Value::String(_) => text_of(value),
        Value::Array(_) | Value::Object(_) => Cow::Owned(json_compact(value)),
    };
    clamp(&text, chars)
}

fn clamp(text: &str, chars: usize) -> String {
    let mut line = String::new();
    for part in text.split(['\n', '\r']).filter(|part| !strip(part).is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
        if line.len() > chars * 4 {
            break;
        }
    }
    let line = strip(&line);
    match line.char_indices().nth(chars) {
        None => line.to_owned(),
        Some(_) => line.chars().take(chars - 1).chain(['…']).collect(),
    }
}

fn trace_report(scratchpad: &Value) -> Result<String, Exception> {
    let field = |key| scratchpad.get(key).unwrap_or(&Value::Null);
    let mut out = Writer::default();
    out.push("# Agent trace\n")?;
    let task = shown(field("task"), OBSERVATION_CHARS);
    if !task.is_empty() {
        out.push(&format!("\nTask: {task}\n"))?;
    }
    let steps = trace_steps(scratchpad);
    out.push("\n## Steps\n\n")?;
    if steps.is_empty() {
        out.push("(no steps)\n")?;
    }
    for (index, step) in steps.iter().take(STEPS).enumerate() {
        out.push(&step_lines(index + 1, step))?;
    }
    if steps.len() > STEPS {
        out.push(&format!("… and {} more\n", steps.len() - STEPS))?;
    }
    Ok(out.finish())
}

/// The steps as listed, else those of every node's trace in the order of their times.
fn trace_steps(scratchpad: &Value) -> Vec<&Object> {
    let listed = list_of(scratchpad.get("steps"));
    if !listed.is_empty() {
        return listed;
    }
    let traces = scratchpad.get("node_traces").and_then(Value::as_object);
    let mut steps: Vec<&Object> =
        traces.into_iter().flat_map(Object::values).flat_map(|trace| list_of(trace.get("steps"))).collect();
    steps.sort_by_key(|step| step.get("ts").and_then(Value::as_str).unwrap_or(""));
    steps
}

fn list_of(list: Option<&Value>) -> Vec<&Object> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect()
}

fn step_lines(number: usize, step: &Object) -> String {
    let text = |key: &str| shown(step.get(key).unwrap_or(&Value::Null), ARGUMENT_CHARS);
    let effect = step.get("effect").unwrap_or(&Value::Null);
    let kind = shown(effect.get("type").unwrap_or(&Value::Null), ARGUMENT_CHARS);
    let mut lines = format!("{number}. `{}` {kind} — {}\n", text("node_id"), text("status"));
    let result = step.get("result").unwrap_or(&Value::Null);
    let calls = effect.get("payload").and_then(|payload| payload.get("tool_calls"));
    let results = list_of(result.get("results"));
    for (index, result) in results.iter().enumerate() {
        let call = calls.and_then(|calls| calls.get(index)?.as_object());
        lines.push_str(&format!("   {}\n", result_line(result, call)));
    }
    let content = shown(result.get("content").unwrap_or(&Value::Null), OBSERVATION_CHARS);
    for note in [content, text("error")].into_iter().filter(|note| !note.is_empty()) {
        lines.push_str(&format!("   {note}\n"));
    }
    lines
}
