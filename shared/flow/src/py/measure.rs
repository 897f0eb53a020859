//! Weighs values, so that no node gives out more than its limits.

use super::{Exception, Raise, VALUE_BYTES};
use domain::limits::JSON_DEPTH;
use serde_json::Value;

/// What a value costs beside its texts, in bytes.
const NODE_BYTES: usize = 32;

/// What is left of [`VALUE_BYTES`] while a node builds its output.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: VALUE_BYTES }
    }
}

impl Budget {
    /// Takes a text of so many bytes from the budget.
    pub fn text(&mut self, bytes: usize) -> Result<(), Exception> {
        self.left = self
            .left
            .checked_sub(bytes.saturating_add(NODE_BYTES))
            .ok_or_else(|| Exception::too_large("the value", VALUE_BYTES))?;
        Ok(())
    }

    /// Takes a value from the budget; refuses one that is nested too deep.
    pub fn value(&mut self, value: &Value) -> Result<(), Exception> {
        self.walk(value, JSON_DEPTH)
    }

    fn walk(&mut self, value: &Value, depth: usize) -> Result<(), Exception> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.text(0),
            Value::String(text) => self.text(text.len()),
            Value::Array(items) => {
                let depth = deeper(depth)?;
                self.text(0)?;
                items.iter().try_for_each(|item| self.walk(item, depth))
            }
            Value::Object(map) => {
                let depth = deeper(depth)?;
                self.text(0)?;
                map.iter().try_for_each(|(key, item)| {
                    self.text(key.len())?;
                    self.walk(item, depth)
                })
            }
        }
    }
}

/// Whether a value keeps to the depth of documents and to [`VALUE_BYTES`].
pub fn fits(value: &Value) -> Result<(), Exception> {
    Budget::default().value(value)
}

fn deeper(depth: usize) -> Result<usize, Exception> {
    depth.checked_sub(1).ok_or_else(|| {
        Exception::new(Raise::RecursionError, format!("the value is nested more than {JSON_DEPTH} levels deep"))
    })
}
