//! Decisions.

use super::call::{Call, single};
use crate::py::{Exception, compare, equal, excerpt, to_float, truthy};
use serde_json::Value;
use std::cmp::Ordering;

node_types! {
    /// Nodes that decide something.
    Logic {
        Compare = "compare",
        Not = "not",
        And = "and",
        Or = "or",
        Coalesce = "coalesce",
        PathMux = "path_mux",
    }
}

pub(super) fn eval(node: Logic, call: &Call<'_>) -> Result<Value, Exception> {
    let is_true = |pin| truthy(call.value(pin));
    let verdict = match node {
        Logic::Compare => compared(call)?,
        Logic::Not => !is_true("value"),
        Logic::And => is_true("a") && is_true("b"),
        Logic::Or => is_true("a") || is_true("b"),
        Logic::Coalesce => {
            let mut values = call.pins().into_iter().filter_map(|pin| call.inputs.get(pin));
            return Ok(values.find(|value| !value.is_null()).cloned().unwrap_or(Value::Null));
        }
        Logic::PathMux => return Ok(single("out", chosen_arm(call))),
    };
    Ok(Value::Bool(verdict))
}

/// An ordering of values that have none is false.
fn compared(call: &Call<'_>) -> Result<bool, Exception> {
    let (a, b) = (call.value("a"), call.value("b"));
    let ordered = |wanted: &[Ordering]| compare(a, b).is_some_and(|order| wanted.contains(&order));
    let operator = call.text_or("op", "==");
    Ok(match &*operator {
        "==" => equal(a, b),
        "!=" => !equal(a, b),
        "<" => ordered(&[Ordering::Less]),
        "<=" => ordered(&[Ordering::Less, Ordering::Equal]),
        ">" => ordered(&[Ordering::Greater]),
        ">=" => ordered(&[Ordering::Greater, Ordering::Equal]),
        other => {
            let known = "one of == != < <= > >=";
            return Err(Exception::value(format!("compare has no operator {}; use {known}", excerpt(other))));
        }
    })
}

/// The selected input, else the fallback; an input that is set to null counts as set.
fn chosen_arm(call: &Call<'_>) -> Value {
    // The cast saturates.
    let index = to_float(call.value("select")).unwrap_or(0.0) as i64;
    let arm = call.inputs.get(&format!("in{index}")).or_else(|| call.inputs.get("fallback"));
    arm.cloned().unwrap_or(Value::Null)
}
