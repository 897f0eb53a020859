//! `str.format` with named values.
//!
//! Grammar: Python's "Format String Syntax". Attributes of values are never reached: JSON has none.

use super::spec::format_value;
use super::{Exception, Raise, Writer, ascii, excerpt, repr, to_str, type_name};
use domain::Object;
use serde_json::Value;

/// Replacement fields may stand in a format specification, but not in those fields' own.
const NESTING: usize = 2;

/// `template.format(**values)`.
pub fn str_format(template: &str, values: &Object) -> Result<String, Exception> {
    let mut out = Writer::default();
    render(&mut out, template, values, NESTING)?;
    Ok(out.finish())
}

fn render(out: &mut Writer, template: &str, values: &Object, nesting: usize) -> Result<(), Exception> {
    if nesting == 0 {
        return Err(Exception::value("Max string recursion exceeded"));
    }
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push(&rest[..at])?;
        let (brace, after) = rest[at..].split_at(1);
        if let Some(doubled) = after.strip_prefix(brace) {
            out.push(brace)?;
            rest = doubled;
        } else if brace == "}" || after.is_empty() {
            return Err(Exception::value(format!("Single '{brace}' encountered in format string")));
        } else {
            let (field, next) = Field::parse(after)?;
            field.render(out, values, nesting)?;
            rest = next;
        }
    }
    out.push(rest)
}

/// One replacement field.
struct Field<'a> {
    name: &'a str,
    conversion: Option<char>,
    spec: &'a str,
}

impl<'a> Field<'a> {
    /// Reads a field after its opening brace; gives it and what follows it.
    fn parse(text: &'a str) -> Result<(Self, &'a str), Exception> {
        let end = name_end(text)?;
        let (name, rest) = text.split_at(end);
        let (conversion, rest) = match rest.strip_prefix('!') {
            None => (None, rest),
            Some(rest) => {
                let mut letters = rest.chars();
                let conversion = letters.next().filter(|letter| *letter != '}' || letters.as_str().starts_with('}'));
                let conversion = conversion
                    .ok_or_else(|| Exception::value("end of string while looking for conversion specifier"))?;
                (Some(conversion), &rest[conversion.len_utf8()..])
            }
        };
        if let Some(next) = rest.strip_prefix('}') {
            return Ok((Self { name, conversion, spec: "" }, next));
        }
        let Some(rest) = rest.strip_prefix(':') else {
            let problem = match (conversion, rest.is_empty()) {
                (Some(_), false) => "expected ':' after conversion specifier",
                (Some(_), true) | (None, _) => "expected '}' before end of string",
            };
            return Err(Exception::value(problem));
        };
        let end = spec_end(rest)?;
        Ok((Self { name, conversion, spec: &rest[..end] }, &rest[end + 1..]))
    }

    fn render(&self, out: &mut Writer, values: &Object, nesting: usize) -> Result<(), Exception> {
        let value = resolve(self.name, values)?;
        let mut expanded = Writer::default();
        let spec = if self.spec.contains(['{', '}']) {
            render(&mut expanded, self.spec, values, nesting - 1)?;
            expanded.finish()
        } else {
            self.spec.to_owned()
        };
        let converted = match self.conversion {
            None => return format_value(out, value, &spec),
            Some('s') => to_str(value),
            Some('r') => repr(value),
            Some('a') => ascii(value),
            Some(other) => {
                return Err(Exception::value(format!("Unknown conversion specifier {}", other.escape_debug())));
            }
        };
        out.charge(converted.len())?;
        format_value(out, &Value::String(converted), &spec)
    }
}

/// Where a field's name ends: at `}`, `:` or `!` outside square brackets.
fn name_end(text: &str) -> Result<usize, Exception> {
    let mut in_brackets = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => return Err(Exception::value("unexpected '{' in field name")),
            b'[' => in_brackets = true,
            b']' => in_brackets = false,
            b'}' | b':' | b'!' if !in_brackets => return Ok(at),
            _ => {}
        }
    }
    Err(Exception::value("expected '}' before end of string"))
}

/// Where a format specification ends: at the `}` that matches the field's opening brace.
fn spec_end(text: &str) -> Result<usize, Exception> {
    let mut open = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Ok(at);
        }
    }
    Err(Exception::value("unmatched '{' in format spec"))
}

fn resolve<'v>(name: &str, values: &'v Object) -> Result<&'v Value, Exception> {
    let first_end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(first_end);
    if first.bytes().all(|byte| byte.is_ascii_digit()) {
        let index = if first.is_empty() { "0" } else { first };
        let message = format!("Replacement index {} out of range for positional args tuple", cut(index));
        return Err(Exception::new(Raise::IndexError, message));
    }
    let mut value = values.get(first).ok_or_else(|| Exception::new(Raise::KeyError, excerpt(first)))?;
    while !rest.is_empty() {
        if let Some(attribute) = rest.strip_prefix('.') {
            let end = attribute.find(['.', '[']).unwrap_or(attribute.len());
            return Err(no_attribute(value, &attribute[..end]));
        }
        let Some(index) = rest.strip_prefix('[') else {
            return Err(Exception::value("Only '.' or '[' may follow ']' in format field specifier"));
        };
        let end = index.find(']').ok_or_else(|| Exception::value("Missing ']' in format string"))?;
        value = element(value, &index[..end])?;
        rest = &index[end + 1..];
    }
    Ok(value)
}

fn no_attribute(value: &Value, name: &str) -> Exception {
    if name.is_empty() {
        return Exception::value("Empty attribute in format string");
    }
    let message = format!("'{}' object has no attribute {}", type_name(value), excerpt(name));
    Exception::new(Raise::AttributeError, message)
}

fn element<'v>(value: &'v Value, index: &str) -> Result<&'v Value, Exception> {
    if index.is_empty() {
        return Err(Exception::value("Empty attribute in format string"));
    }
    let numeric = index.bytes().all(|byte| byte.is_ascii_digit());
    match value {
        // Python looks digits up as a number, which no key of a JSON object is.
        Value::Object(_) if numeric => Err(Exception::new(Raise::KeyError, cut(index))),
        Value::Object(map) => map.get(index).ok_or_else(|| Exception::new(Raise::KeyError, excerpt(index))),
        Value::Array(items) if numeric => {
            let item = index.parse::<usize>().ok().and_then(|index| items.get(index));
            item.ok_or_else(|| Exception::new(Raise::IndexError, "list index out of range"))
        }
        Value::Array(_) => Err(Exception::type_error("list indices must be integers or slices, not str")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Exception::type_error(format!("'{}' object cannot be indexed in a format field", type_name(value))))
        }
    }
}

/// Digits, cut to what an error message can carry.
fn cut(digits: &str) -> &str {
    &digits[..digits.len().min(40)]
}
