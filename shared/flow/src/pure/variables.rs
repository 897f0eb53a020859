//! Reads the run's variables.

use super::call::{Call, listed, single, text_of};
use super::path::Path;
use crate::py::{Exception, strip, truthy};
use domain::Object;
use serde_json::{Value, json};

node_types! {
    /// Nodes that read the run's variables.
    Variables {
        GetVar = "get_var",
        VarDecl = "var_decl",
        BoolVar = "bool_var",
        GetContext = "get_context",
    }
}

pub(super) fn eval(node: Variables, call: &Call<'_>) -> Result<Value, Exception> {
    match node {
        Variables::GetVar => {
            let name = call.value("name");
            let name = if truthy(name) { text_of(name) } else { "".into() };
            Ok(single("value", variable(call, &name)?.cloned().unwrap_or(Value::Null)))
        }
        Variables::VarDecl => {
            let wanted = call.literal().get("type").and_then(Value::as_str).map_or("any", strip);
            declared(call, wanted)
        }
        Variables::BoolVar => declared(call, "boolean"),
        Variables::GetContext => Ok(context(call.cx.vars)),
    }
}

fn variable<'a>(call: &Call<'a>, name: &str) -> Result<Option<&'a Value>, Exception> {
    Ok(Path::parse(name)?.get_in(call.cx.vars))
}

/// The variable when it has the declared type, else the declared default, else the type's zero.
fn declared(call: &Call<'_>, wanted: &str) -> Result<Value, Exception> {
    let literal = call.literal();
    let name = literal.as_str().or_else(|| literal.get("name")?.as_str()).map_or("", strip);
    let current = if name.is_empty() { None } else { Some(variable(call, name)?.unwrap_or(&Value::Null)) };
    let default = literal.get("default").unwrap_or(&Value::Null);
    let value = current.into_iter().chain([default]).find(|value| has_type(value, wanted));
    Ok(json!({ "name": name, "value": value.cloned().unwrap_or_else(|| zero(wanted)) }))
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn zero(wanted: &str) -> Value {
    match wanted {
        "boolean" => Value::Bool(false),
        "number" => Value::from(0),
        "string" => Value::from(""),
        "array" => Value::Array(Vec::new()),
        "object" => Value::Object(Object::new()),
        _ => Value::Null,
    }
}

/// The outputs of `get_context`: the whole context, its task and its messages.
pub(super) fn context(vars: &Object) -> Value {
    let context = vars.get("context").filter(|context| context.is_object());
    let part = |key| context.and_then(|context| context.get(key)).unwrap_or(&Value::Null);
    let task = if truthy(part("task")) { text_of(part("task")) } else { "".into() };
    let messages = listed(part("messages"));
    let context = context.cloned().unwrap_or_else(|| Value::Object(Object::new()));
    json!({ "context": context, "task": task, "messages": messages })
}
