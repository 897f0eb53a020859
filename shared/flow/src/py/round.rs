//! `round(float, digits)`: half to even on the exact binary value.

use super::{Exception, Raise};
use std::cmp::Ordering;

/// Beyond so many decimals every float is itself.
const EXACT_DECIMALS: i64 = 323;
/// Beyond so many places before the point every float rounds to zero.
const ALL_DIGITS: i64 = 309;

/// Rounds to so many decimals; negative counts round before the point.
pub fn round_half_even(number: f64, decimals: i64) -> Result<f64, Exception> {
    if !number.is_finite() || decimals > EXACT_DECIMALS {
        return Ok(number);
    }
    if decimals < -ALL_DIGITS {
        return Ok(0.0_f64.copysign(number));
    }
    let rounded = match usize::try_from(decimals) {
        // Formatting rounds the exact value half to even, and reading back is exact.
        Ok(decimals) => format!("{number:.decimals$}").parse().unwrap_or(number),
        Err(_) => round_before_point(number, usize::try_from(decimals.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    if rounded.is_infinite() {
        return Err(Exception::new(Raise::OverflowError, "rounded value too large to represent"));
    }
    Ok(rounded)
}

fn round_before_point(number: f64, places: usize) -> f64 {
    let magnitude = number.abs();
    let digits = format!("{:.0}", magnitude.trunc());
    let split = digits.len().saturating_sub(places);
    let (kept, cut) = digits.split_at(split);
    let mut rest = "0".repeat(places - cut.len());
    rest.push_str(cut);
    let above_half = {
        let mut half = "0".repeat(places);
        half.replace_range(..1, "5");
        rest.cmp(&half).then(if magnitude.fract() > 0.0 { Ordering::Greater } else { Ordering::Equal })
    };
    let odd = kept.bytes().last().is_some_and(|digit| (digit - b'0') % 2 == 1);
    let up = match above_half {
        Ordering::Less => false,
        Ordering::Equal => odd,
        Ordering::Greater => true,
    };
    let kept = if up { increment(kept) } else { kept.to_owned() };
    format!("{kept}e{places}").parse::<f64>().unwrap_or(0.0).copysign(number)
}

/// Adds one to a decimal numeral; the empty one is zero.
fn increment(digits: &str) -> String {
    let nines = digits.bytes().rev().take_while(|digit| *digit == b'9').count();
    let (head, _) = digits.split_at(digits.len() - nines);
    let mut out = match head.bytes().last() {
        Some(last) => format!("{}{}", &head[..head.len() - 1], last - b'0' + 1),
        None => "1".to_owned(),
    };
    out.push_str(&"0".repeat(nines));
    out
}
