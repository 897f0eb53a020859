//! Objects, and the way between objects and JSON texts.

use super::call::{Call, single};
use super::json::{read_json, stringify};
use super::path::Path;
use super::schema::with_additions;
use crate::py::{Budget, Exception, strip, truthy, type_name};
use domain::Object;
use serde_json::Value;

node_types! {
    /// Nodes that work on objects.
    Objects {
        Get = "get",
        Set = "set",
        Merge = "merge",
        MakeObject = "make_object",
        BreakObject = "break_object",
        ParseJson = "parse_json",
        StringifyJson = "stringify_json",
        EditJsonSchema = "edit_json_schema",
    }
}

pub(super) fn eval(node: Objects, call: &Call<'_>) -> Result<Value, Exception> {
    Ok(match node {
        Objects::Get => single("value", got(call)?),
        Objects::Set => {
            let mut object = object_of(call.inputs.get("object"))?;
            Path::parse(&call.text("key"))?.set_in(&mut object, call.value("value").clone());
            Value::Object(object)
        }
        Objects::Merge => {
            let mut object = object_of(call.inputs.get("a"))?;
            object.extend(object_of(call.inputs.get("b"))?);
            Value::Object(object)
        }
        Objects::MakeObject => {
            let fields = call.inputs.iter().filter(|(pin, _)| !pin.starts_with('_'));
            Value::Object(fields.map(|(pin, value)| (pin.clone(), value.clone())).collect())
        }
        Objects::BreakObject => Value::Object(broken(call)?),
        Objects::ParseJson => parsed(call)?,
        Objects::StringifyJson => Value::String(stringify(call)?),
        Objects::EditJsonSchema => single("schema", with_additions(call.value("schema"), call.literal())),
    })
}

fn got(call: &Call<'_>) -> Result<Value, Exception> {
    let path = Path::parse(&call.text("key"))?;
    let found = path.get(call.value("object")).filter(|value| !value.is_null());
    Ok(found.unwrap_or(call.value("default")).clone())
}

/// `dict(value)`: unset and everything empty that can be iterated give an empty object.
fn object_of(value: Option<&Value>) -> Result<Object, Exception> {
    match value {
        None => Ok(Object::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(empty @ (Value::Array(_) | Value::String(_))) if !truthy(empty) => Ok(Object::new()),
        Some(other) => Err(Exception::type_error(format!("'{}' object is not an object", type_name(other)))),
    }
}

/// The selected paths as outputs; a text is read as JSON first.
fn broken(call: &Call<'_>) -> Result<Object, Exception> {
    let read;
    let mut object = call.value("object");
    if let Value::String(text) = object {
        read = read_json(text).map(wrapped);
        object = read.as_ref().unwrap_or(&Value::Null);
    }
    let selected = call.data.get("breakConfig").and_then(|config| config.get("selectedPaths")?.as_array());
    let mut budget = Budget::default();
    let mut outputs = Object::new();
    for name in selected.into_iter().flatten().filter_map(Value::as_str).map(strip).filter(|name| !name.is_empty()) {
        if outputs.contains_key(name) {
            continue;
        }
        let value = Path::parse(name)?.get(object).unwrap_or(&Value::Null);
        budget.value(value)?;
        outputs.insert(name.to_owned(), value.clone());
    }
    Ok(outputs)
}

fn parsed(call: &Call<'_>) -> Result<Value, Exception> {
    let value = match call.value("text") {
        value @ (Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_)) => value.clone(),
        Value::String(text) => read_json(text)?,
        Value::Null => return Err(super::json::nothing_to_read()),
    };
    Ok(if call.inputs.get("wrap_scalar").is_none_or(truthy) { wrapped(value) } else { value })
}

/// A scalar becomes `{"value": …}`, so that its output can be broken up.
fn wrapped(value: Value) -> Value {
    if value.is_array() || value.is_object() { value } else { single("value", value) }
}
