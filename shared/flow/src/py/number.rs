//! Numbers: what counts as one, how texts are read as one, and the arithmetic that differs from the machine's.

use super::{Exception, Raise, excerpt, type_name};
use serde_json::Value;
use std::cmp::Ordering;

/// A number as Python sees it: whole or not; booleans are 0 and 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Num {
    /// A whole number.
    Int(i128),
    /// A floating-point number.
    Float(f64),
}

impl Num {
    /// The number in a value, if it is one.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Int(i128::from(*flag))),
            Value::Number(number) => number.as_i128().map(Self::Int).or_else(|| number.as_f64().map(Self::Float)),
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Compares by exact value, also between whole and floating-point numbers.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => int_to_float(a, b),
            (Self::Float(a), Self::Int(b)) => int_to_float(b, a).map(Ordering::reverse),
        }
    }
}

/// JSON's whole numbers lie within 64 bits, so a float beyond 2^100 is beyond them all.
fn int_to_float(int: i128, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = 1e30;
    if float.is_nan() {
        return None;
    }
    if float.abs() > BEYOND {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = float.trunc();
    // Exact: the magnitude is below 2^100.
    let order = int.cmp(&(whole as i128));
    Some(order.then_with(|| 0.0_f64.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal)))
}

/// A float as a JSON value; null where JSON has no number for it.
pub fn number_value(number: f64) -> Value {
    Value::from(number)
}

/// `float(value)`.
pub fn to_float(value: &Value) -> Result<f64, Exception> {
    if let Value::String(text) = value {
        let refusal = || Exception::value(format!("could not convert string to float: {}", excerpt(text)));
        return parse_float(text).ok_or_else(refusal);
    }
    match Num::of(value) {
        Some(Num::Int(int)) => Ok(int as f64),
        Some(Num::Float(float)) => Ok(float),
        None => Err(Exception::type_error(format!(
            "float() argument must be a string or a real number, not '{}'",
            type_name(value)
        ))),
    }
}

/// `int(value)`, held within 64 bits.
pub fn to_int(value: &Value) -> Result<i64, Exception> {
    if let Value::String(text) = value {
        let refusal = || Exception::value(format!("invalid literal for int() with base 10: {}", excerpt(text)));
        return parse_int(text).ok_or_else(refusal);
    }
    match Num::of(value) {
        Some(Num::Int(int)) => Ok(clamp(int)),
        // The cast saturates.
        Some(Num::Float(float)) => Ok(float as i64),
        None => Err(Exception::type_error(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            type_name(value)
        ))),
    }
}

/// `float(text)`: surrounding space and underscores between digits are allowed, `inf` and `nan` are numbers.
pub fn parse_float(text: &str) -> Option<f64> {
    without_underscores(text.trim())?.parse().ok()
}

/// `int(text)`, held within 64 bits.
pub fn parse_int(text: &str) -> Option<i64> {
    let text = without_underscores(text.trim())?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let limit = if negative { i64::MIN } else { i64::MAX };
    let step = |sum: i64, digit: u8| {
        let digit = i64::from(digit - b'0');
        sum.checked_mul(10)?.checked_add(if negative { -digit } else { digit })
    };
    Some(digits.bytes().try_fold(0, step).unwrap_or(limit))
}

/// `a % b` of floats: the result has the sign of `b`.
pub fn floor_mod(a: f64, b: f64) -> Result<f64, Exception> {
    if b == 0.0 {
        return Err(Exception::new(Raise::ZeroDivisionError, "float modulo"));
    }
    let rest = a % b;
    if rest == 0.0 {
        return Ok(0.0_f64.copysign(b));
    }
    Ok(if (rest < 0.0) == (b < 0.0) { rest } else { rest + b })
}

/// `base ** exponent` of floats. A complex result is refused: JSON cannot carry it.
pub fn power(base: f64, exponent: f64) -> Result<f64, Exception> {
    if base == 0.0 && exponent < 0.0 {
        return Err(Exception::new(Raise::ZeroDivisionError, "0.0 cannot be raised to a negative power"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(Exception::value("a negative number raised to a fraction is no real number"));
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return Err(Exception::new(Raise::OverflowError, "(34, 'Numerical result out of range')"));
    }
    Ok(result)
}

fn clamp(int: i128) -> i64 {
    i64::try_from(int).unwrap_or(if int < 0 { i64::MIN } else { i64::MAX })
}

/// Drops underscores that stand between digits; any other one makes the text no number.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let between_digits =
        |at: usize| at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    let sound = (0..bytes.len()).all(|at| bytes[at] != b'_' || between_digits(at));
    sound.then(|| text.replace('_', ""))
}
