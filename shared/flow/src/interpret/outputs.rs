//! What other nodes can read of an execution node: its stored output, or what follows from its effect's result.

use super::vars::peek;
use crate::State;
use crate::compile::{Kind, Node};
use domain::Object;
use serde_json::{Value, json};

/// Pin `pin` of an output: the key of that name, or the whole for `result` and `output`.
pub(super) fn pick(output: &Value, pin: &str) -> Option<Value> {
    match output.get(pin) {
        Some(value) if output.is_object() => Some(value.clone()),
        Some(_) | None => matches!(pin, "result" | "output").then(|| output.clone()),
    }
}

/// Pin `pin` of an execution node, if it has run.
pub(super) fn read(state: &State, node: &Node, pin: &str) -> Option<Value> {
    if node.kind == Kind::AddMessage {
        return super::messages::read(state, stored(state, node)?, pin);
    }
    match stored(state, node) {
        Some(output) => pick(output, pin),
        None => pick(&derived(node, result(state, node)?, pin), pin),
    }
}

fn stored<'a>(state: &'a State, node: &Node) -> Option<&'a Value> {
    peek(&state.vars, &["_temp", "node_outputs", &node.id])
}

fn result<'a>(state: &'a State, node: &Node) -> Option<&'a Value> {
    peek(&state.vars, &["_temp", "effects", &node.id])
}

fn derived(node: &Node, result: &Value, pin: &str) -> Value {
    let key = |name: &str| result.get(name).cloned().unwrap_or(Value::Null);
    if node.kind == Kind::WaitEvent {
        return json!({"event_data": result});
    }
    if node.kind == Kind::Event {
        let (payload, id) = (key("payload"), key("event_id"));
        return json!({"event": result, "payload": payload, "event_id": id, "name": key("name")});
    }
    if node.kind == Kind::Schedule {
        return json!({"timestamp": key("until"), "recurrent": super::timing::recurrent_setting(node)});
    }
    if node.kind == Kind::Subflow {
        return subflow(node, result);
    }
    if node.kind == Kind::LlmCall {
        return super::llm::outputs(node, result, pin);
    }
    result.clone()
}

/// A child's output as its parent reads it: unwrapped of a `result` key, and by declared pin.
fn subflow(node: &Node, result: &Value) -> Value {
    let child_output = result.get("output").cloned().unwrap_or(Value::Null);
    let unwrapped = match child_output.get("result") {
        Some(inner) if child_output.is_object() => inner.clone(),
        Some(_) | None => child_output.clone(),
    };
    let mut outputs = Object::new();
    outputs.insert("sub_run_id".to_owned(), result.get("sub_run_id").cloned().unwrap_or(Value::Null));
    outputs.insert("child_output".to_owned(), child_output);
    outputs.insert("output".to_owned(), unwrapped.clone());
    let pins: Vec<&str> = node.outputs.iter().map(|pin| pin.id.as_str()).filter(|pin| *pin != "output").collect();
    for pin in &pins {
        let value = match unwrapped.as_object() {
            Some(map) => map.get(*pin).cloned().unwrap_or(Value::Null),
            None if pins.len() == 1 => unwrapped.clone(),
            None => Value::Null,
        };
        outputs.insert((*pin).to_owned(), value);
    }
    Value::Object(outputs)
}
