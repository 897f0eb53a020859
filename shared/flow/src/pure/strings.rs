//! Texts.

use super::call::{Call, listed, text_of};
use super::template::render;
use crate::py::{Budget, Exception, Writer, chars_len, replace, slice, str_format, strip, to_int, truthy};
use serde_json::Value;

node_types! {
    /// Nodes that work on texts.
    Strings {
        Concat = "concat",
        Split = "split",
        Join = "join",
        Format = "format",
        StringTemplate = "string_template",
        Uppercase = "uppercase",
        Lowercase = "lowercase",
        Trim = "trim",
        Substring = "substring",
        Length = "length",
        IsEmptyString = "is_empty_string",
        Contains = "contains",
        Replace = "replace",
    }
}

pub(super) fn eval(node: Strings, call: &Call<'_>) -> Result<Value, Exception> {
    let text = match node {
        Strings::Concat => concat(call)?,
        Strings::Split => return split(call),
        Strings::Join => join(call)?,
        Strings::Format => format(call)?,
        Strings::StringTemplate => string_template(call)?,
        Strings::Uppercase => call.text("text").to_uppercase(),
        Strings::Lowercase => call.text("text").to_lowercase(),
        Strings::Trim => strip(&call.text("text")).to_owned(),
        Strings::Substring => substring(call)?,
        Strings::Length => return Ok(Value::from(chars_len(&call.text("text")))),
        Strings::IsEmptyString => return Ok(Value::Bool(call.text_or_empty("text").is_empty())),
        Strings::Contains => {
            let pattern = call.text_or_empty("pattern");
            return Ok(Value::Bool(!pattern.is_empty() && call.text_or_empty("text").contains(&*pattern)));
        }
        Strings::Replace => {
            let (text, pattern) = (call.text_or_empty("text"), call.text_or_empty("pattern"));
            replace(&text, &pattern, &call.text_or_empty("replacement"), replace_count(call.value("mode")))?
        }
    };
    Ok(Value::String(text))
}

/// Delimiters are typed as escape sequences in editors.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
}

/// Joins texts, null as empty, with a separator between them.
fn joined<'v>(items: impl Iterator<Item = &'v Value>, separator: &str) -> Result<String, Exception> {
    let mut out = Writer::default();
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(separator)?;
        }
        if !item.is_null() {
            out.push(&text_of(item))?;
        }
    }
    Ok(out.finish())
}

fn concat(call: &Call<'_>) -> Result<String, Exception> {
    let separator = call.data.get("concatConfig").and_then(|config| config.get("separator")?.as_str());
    let declared = super::value_pins(call.data);
    let pins = if declared.is_empty() { undeclared_pins(call) } else { declared };
    joined(pins.into_iter().filter_map(|pin| call.inputs.get(pin)), &unescaped(separator.unwrap_or(" ")))
}

/// Without declared pins: single letters first, then the others, each in order.
fn undeclared_pins<'a>(call: &Call<'a>) -> Vec<&'a str> {
    let mut pins: Vec<&str> = call.inputs.keys().map(String::as_str).collect();
    let is_letter = |pin: &str| pin.len() == 1 && pin.bytes().all(|byte| byte.is_ascii_lowercase());
    pins.sort_by_key(|pin| (!is_letter(pin), *pin));
    pins
}

fn split(call: &Call<'_>) -> Result<Value, Exception> {
    let text = call.text_or_empty("text");
    let delimiter = match call.inputs.get("delimiter") {
        None => ",".to_owned(),
        Some(_) => unescaped(&call.text_or_empty("delimiter")),
    };
    let flag = |pin| call.inputs.get(pin).is_none_or(truthy);
    let (trim, drop_empty) = (flag("trim"), flag("drop_empty"));
    let limit = call.inputs.get("maxsplit").and_then(|limit| to_int(limit).ok());
    // A negative limit is none.
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let pieces: Box<dyn Iterator<Item = &str>> = if delimiter.is_empty() {
        Box::new(std::iter::once(&*text).filter(|text| !text.is_empty()))
    } else {
        Box::new(text.splitn(limit.saturating_add(1), delimiter.as_str()))
    };
    let mut budget = Budget::default();
    let mut items = Vec::new();
    for piece in pieces {
        let piece = if trim { strip(piece) } else { piece };
        if !(drop_empty && piece.is_empty()) {
            budget.text(piece.len())?;
            items.push(Value::from(piece));
        }
    }
    Ok(Value::Array(items))
}

fn join(call: &Call<'_>) -> Result<String, Exception> {
    let delimiter = unescaped(&call.text_or("delimiter", ","));
    joined(listed(call.value("items")).iter(), &delimiter)
}

fn format(call: &Call<'_>) -> Result<String, Exception> {
    let template = call.text("template");
    match call.inputs.get("values") {
        Some(Value::Object(values)) => str_format(&template, values),
        Some(_) => Ok(template.into_owned()),
        None => str_format(&template, &domain::Object::new()),
    }
}

fn string_template(call: &Call<'_>) -> Result<String, Exception> {
    let template = call.value("template");
    if !truthy(template) {
        return Ok(String::new());
    }
    render(&text_of(template), call.value("vars"))
}

fn substring(call: &Call<'_>) -> Result<String, Exception> {
    let start = call.int("start", 0)?;
    let end = call.inputs.get("end").filter(|end| !end.is_null()).map(to_int).transpose()?;
    Ok(slice(&call.text("text"), start, end).to_owned())
}

/// How often to replace; `None` for everywhere.
fn replace_count(mode: &Value) -> Option<usize> {
    match strip(&text_of(mode)).to_lowercase().as_str() {
        "first" | "once" => Some(1),
        _ => to_int(mode).ok().and_then(|count| usize::try_from(count).ok()),
    }
}
