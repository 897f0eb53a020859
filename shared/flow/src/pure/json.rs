//! Reads what models write for JSON, and writes JSON in the modes of the palette.

use super::call::Call;
use crate::py::{Exception, JsonStyle, Writer, parse_literal, strip, to_int, write_json};
use serde_json::Value;

/// Openings at which a text is searched for JSON.
const STARTS: usize = 64;
/// Largest text that is searched for JSON inside it; a larger one must be JSON as a whole.
const SEARCHED_BYTES: usize = 256 * 1024;
/// Spaces per level unless told otherwise.
const INDENT: usize = 2;

/// Reads JSON out of a text: as a whole, without its code fence, inside other text, or as a Python literal.
pub fn read_json(text: &str) -> Result<Value, Exception> {
    let text = without_fence(strip(text));
    if text.is_empty() {
        return Err(nothing_to_read());
    }
    let problem = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(problem) => problem,
    };
    let finite = with_finite_numbers(text);
    if let Some(value) = finite.and_then(|text| serde_json::from_str(&text).ok()) {
        return Ok(value);
    }
    if let Some(value) = first_inside(text) {
        return Ok(value);
    }
    parse_literal(text).map_err(|_| Exception::value(format!("Invalid JSON: {problem}")))
}

/// The refusal of a text without anything in it.
pub(super) fn nothing_to_read() -> Exception {
    Exception::value("parse_json needs a non-empty 'text' input")
}

/// Writes a value in the node's mode; a text that looks like JSON is read first.
pub(super) fn stringify(call: &Call<'_>) -> Result<String, Exception> {
    let read;
    let mut value = call.value("value");
    if let Some(text) = value.as_str().filter(|text| looks_like_json(text)) {
        read = read_whole(text);
        value = read.as_ref().unwrap_or(value);
    }
    let indent = Some(call.value("indent")).filter(|indent| !indent.is_null()).and_then(|indent| to_int(indent).ok());
    let mode = call.value("mode").as_str().map(|mode| strip(mode).to_lowercase()).unwrap_or_default();
    let sorted = call.value("sort_keys") == &Value::Bool(true);
    let spaces = indent.and_then(|indent| usize::try_from(indent).ok()).filter(|spaces| *spaces > 0);
    let style = match mode.as_str() {
        "minified" => JsonStyle::default(),
        "none" => JsonStyle { spaced: true, ..JsonStyle::default() },
        "" if indent.is_some() && spaces.is_none() => JsonStyle::default(),
        _ => JsonStyle { indent: Some(spaces.unwrap_or(INDENT)), ..JsonStyle::default() },
    };
    let mut out = Writer::default();
    write_json(&mut out, value, JsonStyle { sorted, ..style })?;
    Ok(out.finish())
}

fn looks_like_json(text: &str) -> bool {
    without_fence(strip(text)).starts_with(['{', '['])
}

fn read_whole(text: &str) -> Option<Value> {
    let text = without_fence(strip(text));
    serde_json::from_str(text).ok().or_else(|| parse_literal(text).ok())
}

/// The inside of a Markdown code fence, if the text is one.
fn without_fence(text: &str) -> &str {
    if !text.starts_with("```") {
        return text;
    }
    let Some((_, body)) = text.split_once('\n') else {
        return strip(text.trim_matches('`'));
    };
    strip(body.rfind("```").map_or(body, |end| &body[..end]))
}

/// The first piece of JSON that begins with a brace or bracket.
fn first_inside(text: &str) -> Option<Value> {
    if text.len() > SEARCHED_BYTES {
        return None;
    }
    let starts = text.match_indices(['{', '[']).take(STARTS);
    starts.into_iter().find_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter();
        values.next().and_then(Result::ok)
    })
}

/// Python's JSON has `NaN` and `Infinity`, which other readers refuse: they become null. `None` when there are none.
fn with_finite_numbers(text: &str) -> Option<String> {
    const NAMES: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    let mut out = String::new();
    let (mut done, mut at, mut in_text) = (0, 0, false);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'-' | b'I' | b'N' if !in_text => {
                if let Some(name) = NAMES.into_iter().find(|name| text[at..].starts_with(name)) {
                    out.push_str(&text[done..at]);
                    out.push_str("null");
                    done = at + name.len();
                    at = done - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    (done > 0).then(|| out + &text[done..])
}
