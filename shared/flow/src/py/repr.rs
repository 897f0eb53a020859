//! `str()`, `repr()` and `ascii()` of JSON values.

use super::RECURSION;
use serde_json::{Number, Value};

/// Longest piece of a user's text that an error message repeats, in characters.
const EXCERPT_CHARS: usize = 120;

/// `str(value)`: texts as they are, everything else as [`repr`].
pub fn to_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => repr(value),
    }
}

/// `repr(value)`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value, RECURSION, false);
    out
}

/// `ascii(value)`: [`repr`] with everything outside ASCII escaped.
pub fn ascii(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value, RECURSION, true);
    out
}

/// `repr(float)`: the shortest digits that read back the same, `.0` on whole numbers, exponents from 1e16 and below 1e-4.
pub fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let (digits, exponent) = shortest(number.abs());
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let point = usize::try_from(exponent + 1).unwrap_or(0);
    match exponent {
        -4..0 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        0..16 if digits.len() <= point => format!("{sign}{digits}{}.0", "0".repeat(point - digits.len())),
        0..16 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
        _ => {
            let (first, more) = digits.split_at(1);
            let dot = if more.is_empty() { "" } else { "." };
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{dot}{more}e{direction}{:02}", exponent.unsigned_abs())
        }
    }
}

/// The shortest digits that read back as the number, without a point, and the exponent of the first one.
///
/// Of two shortest forms at the same distance Python takes the even one and the standard library the larger, so the
/// exact rounding to as many digits is preferred where it reads back too.
fn shortest(number: f64) -> (String, i32) {
    let short = format!("{number:e}");
    let places = short.bytes().take_while(|byte| *byte != b'e').count().saturating_sub(2);
    let even = format!("{number:.places$e}");
    let text = if even.parse() == Ok(number) { even } else { short };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// The name Python gives the type of a value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// The repr of a user's text, cut to what an error message can carry.
pub fn excerpt(text: &str) -> String {
    let cut = text.char_indices().nth(EXCERPT_CHARS).map_or(text.len(), |(at, _)| at);
    let mut out = String::new();
    write_text(&mut out, &text[..cut], false);
    if cut < text.len() {
        out.push('…');
    }
    out
}

/// The text of a JSON number as Python prints it.
pub(super) fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_repr(float),
        Some(_) | None => number.to_string(),
    }
}

fn write_repr(out: &mut String, value: &Value, depth: usize, ascii: bool) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => write_text(out, text, ascii),
        Value::Array(_) | Value::Object(_) if depth == 0 => out.push_str("..."),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(out, item, depth - 1, ascii);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_text(out, key, ascii);
                out.push_str(": ");
                write_repr(out, item, depth - 1, ascii);
            }
            out.push('}');
        }
    }
}

/// Single quotes, unless the text holds single quotes and no double ones.
fn write_text(out: &mut String, text: &str, ascii: bool) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if letter == quote => out.extend(['\\', letter]),
            ' '..='~' => out.push(letter),
            _ if !ascii && is_printable(letter) => out.push(letter),
            _ => write_escape(out, letter as u32),
        }
    }
    out.push(quote);
}

fn write_escape(out: &mut String, code: u32) {
    let escape = match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        0x1_0000.. => format!("\\U{code:08x}"),
    };
    out.push_str(&escape);
}

/// Python's `isprintable`. The standard library knows the same categories behind its debug form, which also escapes
/// combining marks, but only at the start of a text; hence the letter before it.
fn is_printable(letter: char) -> bool {
    if letter.is_alphanumeric() {
        return true;
    }
    let mut buffer = [0; 8];
    buffer[0] = b'x';
    let length = 1 + letter.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(letter))
}
