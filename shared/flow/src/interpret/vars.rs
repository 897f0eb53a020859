//! Places in a run's variables: the kernel's namespaces and dotted result keys.

use domain::Object;
use serde_json::Value;

/// The object under a key; whatever else was there is replaced.
pub(super) fn child<'a>(object: &'a mut Object, key: &str) -> &'a mut Object {
    let slot = object.entry(key).or_insert_with(|| Value::Object(Object::new()));
    if !slot.is_object() {
        *slot = Value::Object(Object::new());
    }
    match slot {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("the slot was made an object above")
        }
    }
}

/// The object at the end of a path, made where it is missing.
pub(super) fn object_at<'a>(vars: &'a mut Object, path: &[&str]) -> &'a mut Object {
    path.iter().fold(vars, |object, key| child(object, key))
}

/// The value at the end of a path of object keys.
pub(super) fn peek<'a>(vars: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(vars.get(*first)?, |value, key| value.get(*key))
}

/// Writes an effect's result. Node ids may contain dots, so everything after `_temp.effects.` is one key.
pub(super) fn write_result(vars: &mut Object, key: &str, value: Value) {
    if value.is_null() {
        return;
    }
    match key.strip_prefix("_temp.effects.") {
        Some(node) => {
            object_at(vars, &["_temp", "effects"]).insert(node.to_owned(), value);
        }
        None => {
            let mut path: Vec<&str> = key.split('.').filter(|part| !part.is_empty()).collect();
            if let Some(last) = path.pop() {
                object_at(vars, &path).insert(last.to_owned(), value);
            }
        }
    }
}

/// The variables that a flow may see: names without a leading `_`.
pub(super) fn public(vars: &Object) -> Object {
    vars.iter().filter(|(name, _)| !name.starts_with('_')).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Roughly how many bytes a value takes.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 8,
        Value::Array(items) => 8 + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => weight_of(map),
    }
}

/// Roughly how many bytes an object takes.
pub(super) fn weight_of(map: &Object) -> usize {
    8 + map.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>()
}
