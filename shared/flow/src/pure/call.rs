//! One evaluation: the node, its inputs and what surrounds it.

use crate::py::{Exception, to_float, to_int, to_str};
use domain::{Object, Time};
use jiff::tz::TimeZone;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What a pure node may see beside its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The run's variables.
    pub vars: &'a Object,
    /// The moment of the step.
    pub now: Time,
    /// The zone that local times are told in.
    pub zone: &'a TimeZone,
    /// What chance is drawn from: the same seed gives the same numbers. It must differ between two evaluations that
    /// are to differ.
    pub seed: &'a [u8],
}

/// Everything that an evaluation reads.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The node's `data`.
    pub(super) data: &'a Object,
    /// Values of pins, unset ones left out.
    pub(super) inputs: &'a Object,
    /// Surroundings.
    pub(super) cx: &'a Context<'a>,
}

impl<'a> Call<'a> {
    /// A pin's value; null when unset.
    pub(super) fn value(&self, pin: &str) -> &'a Value {
        self.inputs.get(pin).unwrap_or(&Value::Null)
    }

    /// A pin's value as `str` gives it (null as `None`); empty when unset.
    pub(super) fn text(&self, pin: &str) -> Cow<'a, str> {
        self.text_or(pin, "")
    }

    /// As [`Self::text`], with a text for an unset pin.
    pub(super) fn text_or(&self, pin: &str, unset: &'a str) -> Cow<'a, str> {
        self.inputs.get(pin).map_or(Cow::Borrowed(unset), text_of)
    }

    /// A pin's value as `str` gives it; empty when unset or null.
    pub(super) fn text_or_empty(&self, pin: &str) -> Cow<'a, str> {
        self.inputs.get(pin).filter(|value| !value.is_null()).map_or(Cow::Borrowed(""), text_of)
    }

    /// A pin's value as a float; `unset` when unset.
    pub(super) fn float(&self, pin: &str, unset: f64) -> Result<f64, Exception> {
        self.inputs.get(pin).map_or(Ok(unset), to_float)
    }

    /// A pin's value as a whole number; `unset` when unset.
    pub(super) fn int(&self, pin: &str, unset: i64) -> Result<i64, Exception> {
        self.inputs.get(pin).map_or(Ok(unset), to_int)
    }

    /// The declared value pins, or `a` and `b` where none are declared.
    pub(super) fn pins(&self) -> Vec<&'a str> {
        let declared = value_pins(self.data);
        if declared.is_empty() { vec!["a", "b"] } else { declared }
    }

    /// What stands in the node itself.
    pub(super) fn literal(&self) -> &'a Value {
        self.data.get("literalValue").unwrap_or(&Value::Null)
    }
}

/// The declared input pins of a node that carry values, in their order, each once.
pub fn value_pins(data: &Object) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let pins = data.get("inputs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let values = pins.iter().filter(|pin| pin.get("type").and_then(Value::as_str) != Some("execution"));
    let ids = values.filter_map(|pin| pin.get("id").and_then(Value::as_str));
    ids.filter(|id| !id.is_empty() && seen.insert(*id)).collect()
}

/// `str(value)`, without a copy for texts.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Cow::Owned(to_str(value))
        }
    }
}

/// A value where a list is expected: null is no items, anything but a list the only item.
pub(super) fn listed(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => std::slice::from_ref(value),
    }
}

/// An object with one key.
pub(super) fn single(key: &str, value: Value) -> Value {
    Value::Object(Object::from_iter([(key.to_owned(), value)]))
}
