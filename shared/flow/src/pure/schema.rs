//! Adds properties to a JSON Schema without touching those it has.

use domain::Object;
use serde_json::Value;
use std::collections::BTreeSet;

/// The base schema with the properties, definitions and requirements of `additions` that it lacks.
pub(super) fn with_additions(base: &Value, additions: &Value) -> Value {
    let (base, additions) = (object(Some(base)), object(Some(additions)));
    if base.is_empty() || additions.is_empty() {
        return Value::Object(if base.is_empty() { additions } else { base });
    }
    let had: BTreeSet<String> = object(base.get("properties")).keys().cloned().collect();
    let properties = extended(base.get("properties"), additions.get("properties"));
    let is_new = |name: &str| properties.contains_key(name) && !had.contains(name);
    let required = required(base.get("required"), additions.get("required"), is_new);
    let mut schema = base.clone();
    let kind = [&base, &additions].into_iter().filter_map(|schema| schema.get("type")).find(|kind| !kind.is_null());
    schema.insert("type".to_owned(), kind.cloned().unwrap_or_else(|| Value::from("object")));
    for definitions in ["$defs", "definitions"] {
        if !object(additions.get(definitions)).is_empty() {
            let merged = extended(base.get(definitions), additions.get(definitions));
            schema.insert(definitions.to_owned(), Value::Object(merged));
        }
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    if required.is_empty() {
        schema.shift_remove("required");
    } else {
        schema.insert("required".to_owned(), Value::Array(required));
    }
    Value::Object(schema)
}

fn object(value: Option<&Value>) -> Object {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn extended(base: Option<&Value>, additions: Option<&Value>) -> Object {
    let mut merged = object(base);
    for (name, spec) in object(additions) {
        if !name.is_empty() && !merged.contains_key(&name) {
            merged.insert(name, spec);
        }
    }
    merged
}

fn required(base: Option<&Value>, additions: Option<&Value>, is_new: impl Fn(&str) -> bool) -> Vec<Value> {
    let names = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut kept = names(base);
    kept.extend(names(additions).into_iter().filter(|name| name.as_str().is_some_and(&is_new)));
    kept.retain(|name| name.as_str().is_some_and(|name| !name.trim().is_empty() && seen.insert(name.to_owned())));
    kept
}
