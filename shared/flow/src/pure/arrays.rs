//! Lists.

use super::call::{Call, listed, text_of};
use super::chance::Chance;
use super::path::{Path, check_length};
use crate::py::{Budget, Exception, JsonStyle, Writer, equal, repr, to_float, truthy, type_name, write_json};
use domain::Object;
use serde_json::Value;
use std::collections::BTreeSet;

node_types! {
    /// Nodes that work on lists.
    Arrays {
        MakeArray = "make_array",
        ArrayConcat = "array_concat",
        ArrayMap = "array_map",
        ArrayFilter = "array_filter",
        ArrayLength = "array_length",
        ArrayAppend = "array_append",
        ArrayDedup = "array_dedup",
        GetElement = "get_element",
        GetRandomElement = "get_random_element",
        HasTools = "has_tools",
    }
}

pub(super) fn eval(node: Arrays, call: &Call<'_>) -> Result<Value, Exception> {
    let list = call.value("array").as_array();
    let items = match node {
        Arrays::MakeArray => present(call).cloned().collect(),
        Arrays::ArrayConcat => spliced(call),
        Arrays::ArrayMap => mapped(call)?,
        Arrays::ArrayFilter => filtered(call)?,
        Arrays::ArrayLength => return Ok(Value::from(list.map_or(0, Vec::len))),
        Arrays::HasTools => return Ok(Value::Bool(list.is_some_and(|items| !items.is_empty()))),
        Arrays::ArrayAppend => appended(call),
        Arrays::ArrayDedup => deduplicated(list.map_or(&[], Vec::as_slice), call.value("key"))?,
        Arrays::GetElement => {
            let items = list.map_or(&[][..], Vec::as_slice);
            return Ok(element(position(call.value("index"), items.len()).map(|at| &items[at]), call));
        }
        Arrays::GetRandomElement => {
            let items = list.filter(|items| !items.is_empty());
            let drawn = items.map(|items| &items[Chance::new(call.cx.seed).below(items.len())]);
            return Ok(element(drawn, call));
        }
    };
    Ok(Value::Array(items))
}

/// The inputs that are set and not null, in the order of the pins.
fn present<'a>(call: &Call<'a>) -> impl Iterator<Item = &'a Value> {
    let inputs = call.inputs;
    call.pins().into_iter().filter_map(|pin| inputs.get(pin)).filter(|value| !value.is_null())
}

fn spliced(call: &Call<'_>) -> Vec<Value> {
    present(call).flat_map(listed).cloned().collect()
}

fn appended(call: &Call<'_>) -> Vec<Value> {
    let mut items = listed(call.value("array")).to_vec();
    items.push(call.value("item").clone());
    items
}

/// What iterating over a value gives: items, letters or keys.
fn iterated(value: Option<&Value>) -> Result<Vec<Value>, Exception> {
    let mut budget = Budget::default();
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(Value::Object(map)) => Ok(map.keys().cloned().map(Value::String).collect()),
        Some(Value::String(text)) => {
            let letters = text.chars().map(|letter| {
                budget.text(letter.len_utf8())?;
                Ok(Value::from(letter.to_string()))
            });
            letters.collect()
        }
        Some(other @ (Value::Null | Value::Bool(_) | Value::Number(_))) => {
            Err(Exception::type_error(format!("'{}' object is not iterable", type_name(other))))
        }
    }
}

fn mapped(call: &Call<'_>) -> Result<Vec<Value>, Exception> {
    let key = call.text("key");
    check_length(&key)?;
    let items = iterated(call.inputs.get("items"))?.into_iter();
    let picked = items.map(|mut item| match item.as_object_mut() {
        Some(map) => map.swap_remove(&*key).unwrap_or(Value::Null),
        None => item,
    });
    Ok(picked.collect())
}

fn filtered(call: &Call<'_>) -> Result<Vec<Value>, Exception> {
    let (key, wanted) = (call.text("key"), call.value("value"));
    check_length(&key)?;
    let mut items = iterated(call.inputs.get("items"))?;
    items.retain(|item| match item.as_object() {
        Some(map) => equal(map.get(&*key).unwrap_or(&Value::Null), wanted),
        None => equal(item, wanted),
    });
    Ok(items)
}

/// The first of each kind; what lies at the key decides, where there is one.
fn deduplicated(items: &[Value], key: &Value) -> Result<Vec<Value>, Exception> {
    let path = if truthy(key) { Path::parse(&text_of(key))? } else { Path::parse("")? };
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for item in items {
        let decisive = path.get(item).filter(|value| !value.is_null()).unwrap_or(item);
        if seen.insert(fingerprint(decisive)?) {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

/// Equal for equal values of one type: `1`, `1.0` and `true` differ.
fn fingerprint(value: &Value) -> Result<String, Exception> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            let mut out = Writer::unbounded();
            write_json(&mut out, value, JsonStyle { sorted: true, ..JsonStyle::default() })?;
            Ok(out.finish())
        }
        Value::String(text) => Ok(format!("str:{text}")),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(format!("{}:{}", type_name(value), repr(value))),
    }
}

/// A place in a list of this length; negative ones count from the end, and what is no number is the first place.
fn position(index: &Value, length: usize) -> Option<usize> {
    let index = match index {
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => 0,
        // The cast saturates.
        Value::Number(_) | Value::String(_) => to_float(index).unwrap_or(0.0) as i64,
    };
    let length_signed = i64::try_from(length).unwrap_or(i64::MAX);
    let place = if index < 0 { index.saturating_add(length_signed) } else { index };
    usize::try_from(place).ok().filter(|place| *place < length)
}

fn element(found: Option<&Value>, call: &Call<'_>) -> Value {
    let result = found.unwrap_or(call.value("default")).clone();
    Value::Object(Object::from_iter([
        ("result".to_owned(), result),
        ("found".to_owned(), Value::Bool(found.is_some())),
    ]))
}
