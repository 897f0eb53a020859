//! Reads Python literals: what models write when they mean JSON but think in Python.

use super::literal_text::read_text;
use super::{Exception, to_str};
use domain::Object;
use domain::limits::JSON_DEPTH;
use serde_json::Value;

/// Reads one literal: `None`, `True`, `False`, numbers, texts, lists, tuples (as lists) and dicts (with text keys).
///
/// Sets, bytes, complex numbers and everything that would have to be computed are refused.
pub fn parse_literal(text: &str) -> Result<Value, Exception> {
    let mut reader = Reader { text, at: 0 };
    let first = reader.value(JSON_DEPTH)?;
    reader.skip_space();
    if reader.at == text.len() {
        return Ok(first);
    }
    let items = reader.rest_of_tuple(first, JSON_DEPTH, None)?;
    if reader.at < text.len() { Err(reader.malformed()) } else { Ok(items) }
}

/// A place in the text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// What lies ahead.
    pub(super) fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Steps over so many bytes, which must end at a character's end.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Steps over the next character.
    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    /// Steps over a piece of text if it is next.
    pub(super) fn take(&mut self, piece: &str) -> bool {
        let found = self.rest().starts_with(piece);
        if found {
            self.at += piece.len();
        }
        found
    }

    /// The refusal of what is next.
    pub(super) fn malformed(&self) -> Exception {
        Exception::value(format!("malformed literal at byte {}", self.at))
    }

    /// Steps over white space and comments.
    pub(super) fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']).len();
            self.at += blank;
            if !self.rest().starts_with('#') {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.text.len() - self.at);
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Exception> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.malformed())?;
        self.skip_space();
        let next = self.rest().chars().next().ok_or_else(|| self.malformed())?;
        match next {
            '[' => self.list(depth),
            '(' => self.tuple(depth),
            '{' => self.dict(depth),
            '0'..='9' | '.' | '+' | '-' => self.number(),
            _ => match read_text(self)? {
                Some(text) => Ok(Value::String(text)),
                None => self.name(),
            },
        }
    }

    fn name(&mut self) -> Result<Value, Exception> {
        let rest = self.rest();
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let value = match &rest[..end] {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            _ => return Err(self.malformed()),
        };
        self.skip(end);
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Exception> {
        self.skip(1);
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.take("]") {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth)?);
            self.comma_before("]")?;
        }
    }

    fn tuple(&mut self, depth: usize) -> Result<Value, Exception> {
        self.skip(1);
        self.skip_space();
        if self.take(")") {
            return Ok(Value::Array(Vec::new()));
        }
        let first = self.value(depth)?;
        self.skip_space();
        if self.take(")") { Ok(first) } else { self.rest_of_tuple(first, depth, Some(")")) }
    }

    /// The items after a tuple's first one, which a comma must follow; without a bracket up to the end of the text.
    fn rest_of_tuple(&mut self, first: Value, depth: usize, end: Option<&str>) -> Result<Value, Exception> {
        if !self.take(",") {
            return Err(self.malformed());
        }
        let mut items = vec![first];
        loop {
            self.skip_space();
            let ended = end.map_or(self.at == self.text.len(), |bracket| self.take(bracket));
            if ended {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth)?);
            self.skip_space();
            let more = self.take(",");
            let closing = end.map_or(self.at == self.text.len(), |bracket| self.rest().starts_with(bracket));
            if !more && !closing {
                return Err(self.malformed());
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Value, Exception> {
        self.skip(1);
        let mut map = Object::new();
        loop {
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Object(map));
            }
            let key = self.value(depth)?;
            self.skip_space();
            if key.is_array() || key.is_object() || !self.take(":") {
                return Err(self.malformed());
            }
            let value = self.value(depth)?;
            map.insert(to_str(&key), value);
            self.comma_before("}")?;
        }
    }

    fn comma_before(&mut self, bracket: &str) -> Result<(), Exception> {
        self.skip_space();
        if self.take(",") || self.rest().starts_with(bracket) { Ok(()) } else { Err(self.malformed()) }
    }

    fn number(&mut self) -> Result<Value, Exception> {
        let mut negative = false;
        while let Some(sign @ ('+' | '-')) = self.rest().chars().next() {
            negative ^= sign == '-';
            self.skip(1);
            self.skip_space();
        }
        let rest = self.rest();
        let mut end = 0;
        for (at, letter) in rest.char_indices() {
            let exponent_sign = matches!(letter, '+' | '-')
                && !rest.starts_with("0x")
                && !rest.starts_with("0X")
                && rest[..at].ends_with(['e', 'E']);
            if !(letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_') || exponent_sign) {
                break;
            }
            end = at + 1;
        }
        let value = read_number(&rest[..end], negative).ok_or_else(|| self.malformed())?;
        self.skip(end);
        Ok(value)
    }
}

/// Whole numbers beyond 64 bits become floats, as they do when read from JSON.
fn read_number(digits: &str, negative: bool) -> Option<Value> {
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            let plain = rest.strip_prefix('_').unwrap_or(rest);
            let sound = !plain.ends_with('_') && !plain.contains("__") && !plain.starts_with(['+', '-']);
            let number = i128::from_str_radix(&plain.replace('_', ""), radix).ok()?;
            return sound.then(|| whole(if negative { -number } else { number }));
        }
    }
    let sign = if negative { -1.0 } else { 1.0 };
    if lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        let padded = lower.len() > 1 && lower.starts_with('0') && lower.bytes().any(|b| (b'1'..=b'9').contains(&b));
        let float = super::parse_float(&lower).filter(|_| !padded)?;
        let exact = lower.replace('_', "").parse::<i128>().ok();
        return Some(exact.map_or(Value::from(sign * float), |int| whole(if negative { -int } else { int })));
    }
    Some(Value::from(sign * super::parse_float(&lower)?))
}

fn whole(number: i128) -> Value {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(int), _) => Value::from(int),
        (_, Ok(int)) => Value::from(int),
        // The nearest float, as for a JSON number of this size.
        _ => Value::from(number as f64),
    }
}
