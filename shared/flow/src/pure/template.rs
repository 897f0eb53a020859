//! `{{ path | filter }}` templates.

use super::call::text_of;
use super::path::Path;
use crate::py::{Exception, JsonStyle, Writer, strip, write_json};
use serde_json::Value;
use std::borrow::Cow;

/// Filters of one placeholder.
const FILTERS: usize = 16;

/// Fills the placeholders of a template; what is missing or null leaves nothing.
pub(super) fn render(template: &str, vars: &Value) -> Result<String, Exception> {
    let mut out = Writer::default();
    let mut at = 0;
    // The nearest end behind `at`; looked for once, not once per opening.
    let mut end = 0;
    while let Some(open) = template[at..].find("{{").map(|found| at + found) {
        let inner = open + 2;
        if end < inner {
            let Some(found) = template[inner..].find("}}") else {
                break;
            };
            end = inner + found;
        }
        let expression = strip(&template[inner..end]);
        let next = match last_line_start(&template[inner..end]) {
            None => {
                out.push(&template[at..open])?;
                place(&mut out, expression, vars)?;
                end + 2
            }
            // An expression stays on its line, so this opening is text; the next one may start right before the
            // space that the line break belongs to.
            Some(space) => {
                let space = inner + space;
                let before = if template.is_char_boundary(space - 2) { space - 2 } else { space };
                let next = before.max(open + 1);
                out.push(&template[at..next])?;
                next
            }
        };
        at = next;
    }
    out.push(&template[at..])?;
    Ok(out.finish())
}

/// Where the white space with the last line break inside an expression begins; breaks around it do not count.
fn last_line_start(inner: &str) -> Option<usize> {
    let body_end = inner.trim_end_matches(crate::py::is_space).len();
    let body_start = inner.len() - inner.trim_start_matches(crate::py::is_space).len();
    let line_break = inner.get(body_start..body_end)?.rfind('\n')? + body_start;
    Some(inner[..line_break].trim_end_matches(crate::py::is_space).len())
}

fn place(out: &mut Writer, expression: &str, vars: &Value) -> Result<(), Exception> {
    let mut parts = expression.split('|').map(strip);
    let path = Path::parse(parts.next().unwrap_or(""))?;
    let found = if vars.is_object() { path.get(vars) } else { None };
    let Some(value) = found.filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let mut value = Cow::Borrowed(value);
    for (index, filter) in parts.enumerate() {
        if index == FILTERS {
            return Err(Exception::value(format!("a placeholder has more than {FILTERS} filters")));
        }
        out.charge(work(&value))?;
        if let Some(text) = apply(filter, &value)? {
            out.charge(text.len())?;
            value = Cow::Owned(Value::String(text));
        }
    }
    let text = text_of(&value);
    out.charge(text.len())?;
    out.push(&text)
}

/// What a filter goes through at least, whatever comes out.
fn work(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// What a filter makes of a value; unknown filters leave it.
fn apply(filter: &str, value: &Value) -> Result<Option<String>, Exception> {
    Ok(match filter {
        "json" => {
            let mut out = Writer::default();
            write_json(&mut out, value, JsonStyle { sorted: true, spaced: true, ..JsonStyle::default() })?;
            Some(out.finish())
        }
        "trim" => Some(strip(&text_of(value)).to_owned()),
        "lower" => Some(text_of(value).to_lowercase()),
        "upper" => Some(text_of(value).to_uppercase()),
        join if join.starts_with("join") => Some(apply_join(&join[4..], value)?),
        _ => None,
    })
}

fn apply_join(argument: &str, value: &Value) -> Result<String, Exception> {
    let inner = argument.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(strip);
    let quoted = |text: &str, quote: char| Some(text.strip_prefix(quote)?.strip_suffix(quote)?.to_owned());
    let delimiter = inner.map_or(", ".to_owned(), |inner| {
        quoted(inner, '"').or_else(|| quoted(inner, '\'')).unwrap_or_else(|| inner.to_owned())
    });
    let Value::Array(items) = value else {
        return Ok(text_of(value).into_owned());
    };
    let mut out = Writer::default();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(&delimiter)?;
        }
        if !item.is_null() {
            out.push(&text_of(item))?;
        }
    }
    Ok(out.finish())
}
