//! Dotted paths into values: `a.b`, `a[0].b`, `a.0.b`.

use crate::py::Exception;
use domain::Object;
use domain::limits::JSON_DEPTH;
use serde_json::Value;

/// Longest path or key, in bytes.
pub const PATH_BYTES: usize = 4_096;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    keys: Vec<String>,
}

impl Path {
    /// Reads a path. Empty segments are dropped; one that is all digits also finds places in lists.
    pub fn parse(text: &str) -> Result<Self, Exception> {
        check_length(text)?;
        let keys: Vec<String> =
            text.split(['.', '[', ']']).map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
        if keys.len() > JSON_DEPTH {
            return Err(Exception::value(format!("a path has more than {JSON_DEPTH} segments")));
        }
        Ok(Self { keys })
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What lies there in a value; nothing for the empty path.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let (first, rest) = self.keys.split_first()?;
        rest.iter().try_fold(child(value, first)?, |value, key| child(value, key))
    }

    /// What lies there in an object.
    pub fn get_in<'v>(&self, object: &'v Object) -> Option<&'v Value> {
        let (first, rest) = self.keys.split_first()?;
        rest.iter().try_fold(object.get(first)?, |value, key| child(value, key))
    }

    /// Puts a value there. What is missing on the way, or is neither an object nor a list with that place, becomes an
    /// object. The empty path is the empty key.
    pub fn set_in(&self, object: &mut Object, value: Value) {
        let Some((last, parents)) = self.keys.split_last() else {
            object.insert(String::new(), value);
            return;
        };
        let Some((first, rest)) = parents.split_first() else {
            object.insert(last.clone(), value);
            return;
        };
        let top = object.entry(first.clone()).or_insert(Value::Null);
        let parent = rest.iter().fold(top, |parent, key| child_mut(parent, key));
        *child_mut(parent, last) = value;
    }
}

/// Refuses keys and paths that are longer than [`PATH_BYTES`].
pub(super) fn check_length(key: &str) -> Result<(), Exception> {
    if key.len() > PATH_BYTES {
        return Err(Exception::value(format!("a path or key is longer than {PATH_BYTES} bytes")));
    }
    Ok(())
}

fn place(items: &[Value], key: &str) -> Option<usize> {
    let digits = key.bytes().all(|byte| byte.is_ascii_digit());
    key.parse().ok().filter(|index| digits && *index < items.len())
}

fn child<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(place(items, key)?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn child_mut<'v>(value: &'v mut Value, key: &str) -> &'v mut Value {
    let index = value.as_array().and_then(|items| place(items, key));
    if index.is_none() && !value.is_object() {
        *value = Value::Object(Object::new());
    }
    match (value, index) {
        (Value::Array(items), Some(index)) => &mut items[index],
        (Value::Object(map), _) => map.entry(key).or_insert(Value::Null),
        (other, _) => other,
    }
}
