//! Numbers and switches, taken in the forms that clients of the contract send them: `"5"`, `1` for true, `on`.

use super::{Issue, Place};
use serde_json::Value;

type Checked<T> = Result<T, Vec<Issue>>;

fn wrong<T>(kind: &'static str, value: &Value, at: &[Place], msg: &str) -> Checked<T> {
    Err(vec![Issue::new(kind, at, msg, value.clone())])
}

fn beyond<T>(kind: &'static str, value: &Value, at: &[Place], words: &str, key: &str, bound: Value) -> Checked<T> {
    let msg = format!("Input should be {words} {bound}");
    Err(vec![Issue::new(kind, at, msg, value.clone()).with(key, bound)])
}

/// A whole number within inclusive bounds.
pub(super) fn integer(value: &Value, min: Option<i64>, max: Option<i64>, at: &[Place]) -> Checked<Value> {
    let number = whole(value, at)?;
    if let Some(min) = min.filter(|min| number < *min) {
        return beyond("greater_than_equal", value, at, "greater than or equal to", "ge", min.into());
    }
    if let Some(max) = max.filter(|max| number > *max) {
        return beyond("less_than_equal", value, at, "less than or equal to", "le", max.into());
    }
    Ok(number.into())
}

fn whole(value: &Value, at: &[Place]) -> Checked<i64> {
    match value {
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Ok(number),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9.0e18 => Ok(float as i64),
            (None, Some(float)) if float.fract() == 0.0 => {
                let msg = "Unable to parse input string as an integer, exceeded maximum size";
                wrong("int_parsing_size", value, at, msg)
            }
            (None, _) => {
                let msg = "Input should be a valid integer, got a number with a fractional part";
                wrong("int_from_float", value, at, msg)
            }
        },
        Value::String(text) => text.trim().parse().or_else(|_| {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            wrong("int_parsing", value, at, msg)
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            wrong("int_type", value, at, "Input should be a valid integer")
        }
    }
}

/// A number above `above` and up to `max`.
pub(super) fn number(value: &Value, above: f64, max: f64, at: &[Place]) -> Checked<Value> {
    let number = real(value, at)?;
    if number.is_nan() || number <= above {
        return beyond("greater_than", value, at, "greater than", "gt", above.into());
    }
    if number > max {
        return beyond("less_than_equal", value, at, "less than or equal to", "le", max.into());
    }
    Ok(number.into())
}

/// A number within inclusive bounds.
pub(super) fn amount(value: &Value, min: f64, max: f64, at: &[Place]) -> Checked<Value> {
    let number = real(value, at)?;
    if number.is_nan() || number < min {
        return beyond("greater_than_equal", value, at, "greater than or equal to", "ge", min.into());
    }
    if number > max {
        return beyond("less_than_equal", value, at, "less than or equal to", "le", max.into());
    }
    Ok(number.into())
}

fn real(value: &Value, at: &[Place]) -> Checked<f64> {
    match value {
        Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.trim().parse().or_else(|_| {
            let msg = "Input should be a valid number, unable to parse string as a number";
            wrong("float_parsing", value, at, msg)
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            wrong("float_type", value, at, "Input should be a valid number")
        }
    }
}

/// A switch.
pub(super) fn flag(value: &Value, at: &[Place]) -> Checked<bool> {
    let word = match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.to_ascii_lowercase(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return wrong("bool_type", value, at, "Input should be a valid boolean");
        }
    };
    match word.as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => wrong("bool_parsing", value, at, "Input should be a valid boolean, unable to interpret input"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_taken_in_every_form_and_never_rounded() {
        let whole = |value: Value| integer(&value, Some(0), Some(10), &[]).map_err(|issues| issues[0].kind);
        assert_eq!(
            [whole(json!(5)), whole(json!("5")), whole(json!(5.0)), whole(json!(true))],
            [5, 5, 5, 1].map(|n| Ok(json!(n)))
        );
        assert_eq!(whole(json!(5.5)), Err("int_from_float"));
        assert_eq!(whole(json!(1e300)), Err("int_parsing_size"));
        assert_eq!(whole(json!(u64::MAX)), Err("int_parsing_size"));
        assert_eq!(whole(json!(11)), Err("less_than_equal"));
        assert_eq!(whole(json!(null)), Err("int_type"));
        let real = |value: Value| number(&value, 0.1, 60.0, &[]).map_err(|issues| issues[0].msg.clone());
        assert_eq!(real(json!("inf")), Err("Input should be less than or equal to 60.0".to_owned()));
        assert_eq!(real(json!(0.1)), Err("Input should be greater than 0.1".to_owned()));
        assert_eq!(real(json!("2")), Ok(json!(2.0)));
    }
}
