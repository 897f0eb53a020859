//! Values that stand in the flow itself.

use super::call::{Call, single, value_pins};
use crate::py::strip;
use domain::Object;
use serde_json::Value;
use std::collections::BTreeSet;

node_types! {
    /// Nodes that give what their author typed.
    Literals {
        String = "literal_string",
        Number = "literal_number",
        Boolean = "literal_boolean",
        Json = "literal_json",
        Array = "literal_array",
        JsonSchema = "json_schema",
        ToolsAllowlist = "tools_allowlist",
        ToolParameters = "tool_parameters",
    }
}

pub(super) fn eval(node: Literals, call: &Call<'_>) -> Value {
    match node {
        Literals::String
        | Literals::Number
        | Literals::Boolean
        | Literals::Json
        | Literals::Array
        | Literals::JsonSchema => single("value", call.literal().clone()),
        Literals::ToolsAllowlist => single("tools", Value::Array(tool_names(call.literal()))),
        Literals::ToolParameters => Value::Object(tool_parameters(call)),
    }
}

fn tool_names(literal: &Value) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let names = literal.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str).map(strip);
    names.filter(|name| !name.is_empty() && seen.insert(*name)).map(Value::from).collect()
}

/// Every parameter as an output of its own, and the call with those that are not null.
fn tool_parameters(call: &Call<'_>) -> Object {
    let config = call.data.get("toolParametersConfig");
    let named = |key| config.and_then(|config| config.get(key)?.as_str()).filter(|name| !name.is_empty());
    let tool = named("tool").or_else(|| named("name")).map_or("", strip);
    let mut outputs = Object::new();
    let mut arguments = Object::new();
    for pin in value_pins(call.data) {
        let value = call.value(pin);
        outputs.insert(pin.to_owned(), value.clone());
        if !value.is_null() {
            arguments.insert(pin.to_owned(), value.clone());
        }
    }
    let parts = [("name".to_owned(), Value::from(tool)), ("arguments".to_owned(), Value::Object(arguments))];
    outputs.insert("tool_call".to_owned(), Value::Object(Object::from_iter(parts)));
    outputs
}
