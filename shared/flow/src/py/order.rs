//! Truth, equality and order of values.

use super::RECURSION;
use super::number::Num;
use serde_json::Value;
use std::cmp::Ordering;

/// `bool(value)`: null, false, zeros and everything empty are false.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// `a == b`, where `1 == 1.0 == true` and objects are equal in any order of keys.
pub fn equal(a: &Value, b: &Value) -> bool {
    relate(a, b, RECURSION) == Relation::Ordered(Ordering::Equal)
}

/// The order of two numbers, two texts or two lists; `None` where Python raises a `TypeError`.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    let comparable = match (a, b) {
        (Value::String(_), Value::String(_)) | (Value::Array(_), Value::Array(_)) => true,
        _ => Num::of(a).is_some() && Num::of(b).is_some(),
    };
    if !comparable {
        return None;
    }
    match relate(a, b, RECURSION) {
        Relation::Ordered(ordering) => Some(ordering),
        Relation::Different => None,
    }
}

#[derive(PartialEq)]
enum Relation {
    Ordered(Ordering),
    /// Unequal, and neither comes first.
    Different,
}

/// Equality and order in one walk, so that nested lists are not walked once per level.
fn relate(a: &Value, b: &Value, depth: usize) -> Relation {
    if depth == 0 {
        return Relation::Different;
    }
    match (a, b) {
        (Value::Null, Value::Null) => Relation::Ordered(Ordering::Equal),
        (Value::String(a), Value::String(b)) => Relation::Ordered(a.cmp(b)),
        (Value::Array(a), Value::Array(b)) => {
            let first = a.iter().zip(b).map(|(a, b)| relate(a, b, depth - 1));
            let differing = first.into_iter().find(|relation| *relation != Relation::Ordered(Ordering::Equal));
            differing.unwrap_or(Relation::Ordered(a.len().cmp(&b.len())))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.get(key)
                        .is_some_and(|other| relate(value, other, depth - 1) == Relation::Ordered(Ordering::Equal))
                });
            if same { Relation::Ordered(Ordering::Equal) } else { Relation::Different }
        }
        _ => match (Num::of(a), Num::of(b)) {
            (Some(a), Some(b)) => a.order(b).map_or(Relation::Different, Relation::Ordered),
            _ => Relation::Different,
        },
    }
}
