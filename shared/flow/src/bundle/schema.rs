//! What an entrypoint asks for: the data pins of its `on_flow_start` node, in three renderings of the contract.

use crate::compile::text;
use domain::Object;
use serde_json::{Value, json};

/// One input of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct InputPin {
    /// The pin, which is the key in the run's variables.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The pin's type, such as `string`.
    pub kind: String,
    /// The value when the client gives none.
    pub default: Option<Value>,
}

impl InputPin {
    /// As `GET /bundles/{id}` lists it.
    pub fn to_json(&self) -> Value {
        let mut pin = json!({"id": self.id, "label": self.label, "type": self.kind});
        if let (Some(pin), Some(default)) = (pin.as_object_mut(), &self.default) {
            pin.insert("default".to_owned(), default.clone());
        }
        pin
    }
}

fn nodes(flow: &Value) -> impl Iterator<Item = &Value> {
    flow.get("nodes").and_then(Value::as_array).into_iter().flatten()
}

fn kind(node: &Value) -> &str {
    node.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The inputs of a flow document.
pub fn inputs(flow: &Value) -> Vec<InputPin> {
    let entry = text(flow.get("entryNode"));
    let is_entry = |node: &&Value| entry.is_some() && text(node.get("id")) == entry;
    let start = nodes(flow)
        .find(|node| is_entry(node) && kind(node) == "on_flow_start")
        .or_else(|| nodes(flow).find(|node| kind(node) == "on_flow_start"));
    let Some(data) = start.and_then(|node| node.get("data")) else {
        return Vec::new();
    };
    let pins = data.get("outputs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    pins.iter().filter_map(|pin| input(pin, data.get("pinDefaults"))).collect()
}

fn input(pin: &Value, defaults: Option<&Value>) -> Option<InputPin> {
    let id = text(pin.get("id"))?;
    let kind = text(pin.get("type")).unwrap_or_else(|| "any".to_owned());
    if kind == "execution" {
        return None;
    }
    let label = text(pin.get("label")).unwrap_or_else(|| id.clone());
    let default = defaults.and_then(|defaults| defaults.get(&id)).cloned();
    Some(InputPin { id, label, kind, default })
}

/// Type and label of each node, by id.
pub fn node_index(flow: &Value) -> Object {
    nodes(flow)
        .filter_map(|node| {
            let id = text(node.get("id"))?;
            let label =
                text(node.pointer("/data/label")).or_else(|| text(node.get("label"))).unwrap_or_else(|| id.clone());
            Some((id, json!({"type": kind(node), "label": label})))
        })
        .collect()
}

/// `inputs`, `defaults` and `input_data_schema` of the input schema route.
pub fn input_schema(flow: &Value) -> Object {
    let (mut list, mut defaults, mut properties) = (Vec::new(), Object::new(), Object::new());
    for pin in inputs(flow) {
        let schema = schema(&pin);
        let mut entry = pin.to_json();
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("required".to_owned(), Value::Bool(false));
            entry.insert("schema".to_owned(), Value::Object(schema.clone()));
        }
        list.push(entry);
        if let Some(default) = pin.default {
            defaults.insert(pin.id.clone(), default);
        }
        properties.insert(pin.id, Value::Object(schema));
    }
    let mut schema = Object::new();
    schema.insert("inputs".to_owned(), Value::Array(list));
    schema.insert("defaults".to_owned(), Value::Object(defaults));
    let properties = json!({"type": "object", "additionalProperties": true, "properties": properties});
    schema.insert("input_data_schema".to_owned(), properties);
    schema
}

fn schema(pin: &InputPin) -> Object {
    let mut schema = Object::new();
    let json_type = match pin.kind.as_str() {
        "number" => Some("number"),
        "boolean" => Some("boolean"),
        "array" | "tools" | "assertions" => Some("array"),
        "object" | "memory" | "assertion" | "json_schema" => Some("object"),
        "string" | "provider" | "model" | "provider_text" | "workspace_file" | "workspace_folder" => Some("string"),
        _ => None,
    };
    if let Some(json_type) = json_type {
        schema.insert("type".to_owned(), Value::from(json_type));
    }
    schema.insert("x-abstract-type".to_owned(), Value::from(pin.kind.as_str()));
    if let Some(default) = &pin.default {
        schema.insert("default".to_owned(), default.clone());
    }
    schema
}
