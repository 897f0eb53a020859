//! What depends on the moment, or on a host that this runtime does not have.

use super::call::{Call, Context};
use super::variables::context;
use crate::py::{Exception, Raise, to_str};
use domain::Object;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

node_types! {
    /// Nodes that look beyond their inputs and the variables.
    Ambient {
        SystemDatetime = "system_datetime",
        AddMessage = "add_message",
        Function = "function",
        ModelCatalog = "model_catalog",
        ProviderCatalog = "provider_catalog",
        ProviderModels = "provider_models",
    }
}

pub(super) fn eval(node: Ambient, call: &Call<'_>) -> Result<Value, Exception> {
    match node {
        Ambient::SystemDatetime => Ok(local_time(call.cx)),
        Ambient::AddMessage => Ok(with_message(call)),
        Ambient::Function => function(call),
        Ambient::ModelCatalog | Ambient::ProviderCatalog | Ambient::ProviderModels => {
            Err(unsupported(&format!("node type '{}'", node.name())))
        }
    }
}

/// A message for `context.messages`, from the pins `role` (default `user`) and `content`.
///
/// Its id is drawn from the seed.
pub fn message(inputs: &Object, cx: &Context<'_>) -> Value {
    let text = |pin: &str, unset: &str| {
        let value = inputs.get(pin).filter(|value| !value.is_null());
        value.map_or_else(|| unset.to_owned(), to_str)
    };
    let digest = Sha256::digest(cx.seed);
    let id: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    json!({
        "role": text("role", "user"),
        "content": text("content", ""),
        "timestamp": cx.now.to_string(),
        "metadata": { "message_id": format!("msg_{id}") },
    })
}

/// The message, and the context as it would be with it; no variable changes.
fn with_message(call: &Call<'_>) -> Value {
    let message = message(call.inputs, call.cx);
    let Value::Object(mut outputs) = context(call.cx.vars) else {
        return Value::Null;
    };
    if let Some(Value::Array(messages)) = outputs.get_mut("messages") {
        messages.push(message.clone());
    }
    let messages = outputs.get("messages").cloned().unwrap_or(Value::Null);
    if let Some(Value::Object(context)) = outputs.get_mut("context") {
        context.insert("messages".to_owned(), messages);
    }
    outputs.shift_insert(0, "message".to_owned(), message);
    Value::Object(outputs)
}

/// Without code of its own a function gives its inputs back.
fn function(call: &Call<'_>) -> Result<Value, Exception> {
    let has_text = |key| call.data.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
    if ["code", "codeBody", "expression"].into_iter().any(has_text) {
        return Err(unsupported("Python code in a 'function' node"));
    }
    Ok(Value::Object(call.inputs.clone()))
}

fn unsupported(what: &str) -> Exception {
    Exception::new(Raise::NotImplementedError, format!("{what} is not supported yet"))
}

fn local_time(cx: &Context<'_>) -> Value {
    let local = cx.now.timestamp().to_zoned(cx.zone.clone());
    let fraction = if cx.now.as_micros().rem_euclid(1_000_000) == 0 { "" } else { ".%6f" };
    let iso = local.strftime(&format!("%Y-%m-%dT%H:%M:%S{fraction}%:z")).to_string();
    let zone = cx.zone.to_offset_info(cx.now.timestamp());
    json!({
        "iso": iso,
        "timezone": zone.abbreviation(),
        "utc_offset_minutes": zone.offset().seconds().div_euclid(60),
        "locale": "",
    })
}
