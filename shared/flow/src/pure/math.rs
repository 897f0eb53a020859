//! Arithmetic on floats, and chance.

use super::call::Call;
use super::chance::Chance;
use crate::py::{Exception, floor_mod, number_value, power, round_half_even, to_float};
use serde_json::Value;

node_types! {
    /// Nodes that compute a number.
    Math {
        Add = "add",
        Subtract = "subtract",
        Multiply = "multiply",
        Divide = "divide",
        Modulo = "modulo",
        Power = "power",
        Abs = "abs",
        Round = "round",
        RandomInt = "random_int",
        RandomFloat = "random_float",
    }
}

pub(super) fn eval(node: Math, call: &Call<'_>) -> Result<Value, Exception> {
    let operands = || Ok((call.float("a", 0.0)?, call.float("b", 0.0)?));
    let number = match node {
        Math::Add => operands().map(|(a, b)| a + b),
        Math::Subtract => operands().map(|(a, b)| a - b),
        Math::Multiply => operands().map(|(a, b)| a * b),
        Math::Divide => divisor(call, "Division by zero").and_then(|b| Ok(call.float("a", 0.0)? / b)),
        Math::Modulo => divisor(call, "Modulo by zero").and_then(|b| floor_mod(call.float("a", 0.0)?, b)),
        Math::Power => power(call.float("base", 0.0)?, call.float("exp", 1.0)?),
        Math::Abs => call.float("value", 0.0).map(f64::abs),
        Math::Round => round_half_even(call.float("value", 0.0)?, call.int("decimals", 0)?),
        Math::RandomFloat => Ok(random_float(call)),
        Math::RandomInt => {
            // The casts saturate.
            let (low, high) = (bound(call, "min", 0.0) as i64, bound(call, "max", 100.0) as i64);
            return Ok(Value::from(Chance::new(call.cx.seed).between(low, high)));
        }
    };
    number.map(number_value)
}

fn divisor(call: &Call<'_>, refusal: &str) -> Result<f64, Exception> {
    let divisor = call.float("b", 1.0)?;
    if divisor == 0.0 { Err(Exception::value(refusal)) } else { Ok(divisor) }
}

/// An end of a range of chance; what is no number counts as unset.
fn bound(call: &Call<'_>, pin: &str, unset: f64) -> f64 {
    call.inputs.get(pin).and_then(|value| to_float(value).ok()).filter(|end| !end.is_nan()).unwrap_or(unset)
}

fn random_float(call: &Call<'_>) -> f64 {
    let (min, max) = (bound(call, "min", 0.0), bound(call, "max", 1.0));
    let (low, high) = (min.min(max), min.max(max));
    if low == high {
        return low;
    }
    low + (high - low) * Chance::new(call.cx.seed).unit()
}
