//! `json.dumps` in the shapes that hosts and nodes use.

use super::repr::number_text;
use super::{Exception, RECURSION, Writer};
use serde_json::Value;

/// How JSON is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonStyle {
    /// Escape everything outside ASCII.
    pub ascii: bool,
    /// Write the keys of objects in order of their code points.
    pub sorted: bool,
    /// Spaces per level on lines of their own; `None` for one line.
    pub indent: Option<usize>,
    /// On one line: a space after commas and colons.
    pub spaced: bool,
}

/// The form that is hashed: one line, no spaces, sorted keys, ASCII only.
pub fn json_dumps(value: &Value) -> String {
    unbounded(value, JsonStyle { ascii: true, sorted: true, ..JsonStyle::default() })
}

/// One line without spaces, keys in their own order.
pub fn json_compact(value: &Value) -> String {
    unbounded(value, JsonStyle::default())
}

/// One line with a space after commas and colons, as `json.dumps` writes when told nothing.
pub fn json_spaced(value: &Value) -> String {
    unbounded(value, JsonStyle { spaced: true, ..JsonStyle::default() })
}

/// Lines with so many spaces per level.
pub fn json_pretty(value: &Value, indent: usize) -> Result<String, Exception> {
    let mut out = Writer::default();
    write_json(&mut out, value, JsonStyle { indent: Some(indent), ..JsonStyle::default() })?;
    Ok(out.finish())
}

/// Writes a value in a style, as far as the writer lets it.
pub fn write_json(out: &mut Writer, value: &Value, style: JsonStyle) -> Result<(), Exception> {
    write_value(out, value, style, 0)
}

fn unbounded(value: &Value, style: JsonStyle) -> String {
    let mut out = Writer::unbounded();
    // A writer without limits refuses nothing.
    drop(write_value(&mut out, value, style, 0));
    out.finish()
}

fn write_value(out: &mut Writer, value: &Value, style: JsonStyle, level: usize) -> Result<(), Exception> {
    match value {
        Value::Null => out.push("null"),
        Value::Bool(flag) => out.push(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push(&number_text(number)),
        Value::String(text) => write_text(out, text, style.ascii),
        Value::Array(_) | Value::Object(_) if level >= RECURSION => out.push("null"),
        Value::Array(items) if items.is_empty() => out.push("[]"),
        Value::Object(map) if map.is_empty() => out.push("{}"),
        Value::Array(items) => {
            out.push("[")?;
            for (index, item) in items.iter().enumerate() {
                separate(out, style, index, level + 1)?;
                write_value(out, item, style, level + 1)?;
            }
            close(out, style, level, "]")
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            if style.sorted {
                entries.sort_by_key(|(key, _)| *key);
            }
            out.push("{")?;
            for (index, (key, item)) in entries.into_iter().enumerate() {
                separate(out, style, index, level + 1)?;
                write_text(out, key, style.ascii)?;
                out.push(if style.spaced || style.indent.is_some() { ": " } else { ":" })?;
                write_value(out, item, style, level + 1)?;
            }
            close(out, style, level, "}")
        }
    }
}

fn separate(out: &mut Writer, style: JsonStyle, index: usize, level: usize) -> Result<(), Exception> {
    let comma = if index > 0 { "," } else { "" };
    out.push(comma)?;
    match style.indent {
        Some(indent) => new_line(out, indent, level),
        None if style.spaced && index > 0 => out.push(" "),
        None => Ok(()),
    }
}

fn close(out: &mut Writer, style: JsonStyle, level: usize, bracket: &str) -> Result<(), Exception> {
    if let Some(indent) = style.indent {
        new_line(out, indent, level)?;
    }
    out.push(bracket)
}

fn new_line(out: &mut Writer, indent: usize, level: usize) -> Result<(), Exception> {
    out.push("\n")?;
    out.repeat(' ', indent.saturating_mul(level))
}

fn write_text(out: &mut Writer, text: &str, ascii: bool) -> Result<(), Exception> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            ' '..='~' => quoted.push(letter),
            '\0'..='\u{1f}' => escape(&mut quoted, letter),
            _ if ascii => escape(&mut quoted, letter),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    out.push(&quoted)
}

fn escape(quoted: &mut String, letter: char) {
    let mut units = [0; 2];
    for unit in letter.encode_utf16(&mut units) {
        quoted.push_str(&format!("\\u{unit:04x}"));
    }
}
