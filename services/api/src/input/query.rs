//! Query strings, checked against declared parameters.

use super::field::check_object;
use super::{Field, Issue, Place};
use crate::ApiError;
use domain::Object;
use serde_json::Value;

/// Reads the declared parameters of a query string; others are ignored, and the last of equal names counts.
pub fn read_query(query: Option<&str>, fields: &[Field]) -> Result<Object, ApiError> {
    let mut given = Object::new();
    for (name, value) in pairs(query.unwrap_or_default()) {
        given.insert(name, Value::String(value));
    }
    check_object(&given, fields, false, &[Place::from("query")]).map_err(|issues| ApiError::Invalid(bare(issues)))
}

/// A missing query parameter has no surrounding object to show.
fn bare(mut issues: Vec<Issue>) -> Vec<Issue> {
    for issue in issues.iter_mut().filter(|issue| issue.kind == "missing") {
        issue.input = Value::Null;
    }
    issues
}

/// The decoded pairs of a query string.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(name), decode(value))
    })
}

/// Percent-decodes; `+` is a space, broken escapes stay as they are, broken UTF-8 becomes U+FFFD.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten().and_then(hex_pair);
        decoded.push(match (escaped, byte) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, byte) => *byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Kind;
    use serde_json::json;

    const FIELDS: &[Field] = &[
        Field::defaults("after", Kind::Integer { min: Some(0), max: None }, "0"),
        Field::defaults("heartbeat_s", Kind::Number { above: 0.1, max: 60.0 }, "5.0"),
        Field::defaults("reload", Kind::Flag, "true"),
        Field::optional("status", Kind::Text),
    ];

    fn issue(query: &str) -> Value {
        match read_query(Some(query), FIELDS) {
            Err(ApiError::Invalid(issues)) => serde_json::to_value(&issues[0]).unwrap(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn bounds_are_refused_in_the_words_of_the_contract() {
        assert_eq!(
            issue("after=-1"),
            json!({"type": "greater_than_equal", "loc": ["query", "after"],
                "msg": "Input should be greater than or equal to 0", "input": "-1", "ctx": {"ge": 0}})
        );
        assert_eq!(issue("heartbeat_s=0.1")["ctx"], json!({"gt": 0.1}));
        assert_eq!(issue("heartbeat_s=NaN")["type"], "greater_than");
        assert_eq!(issue("after=x")["type"], "int_parsing");
        assert_eq!(issue("reload=maybe")["type"], "bool_parsing");
    }

    #[test]
    fn defaults_fill_in_and_escapes_are_decoded() {
        let query = read_query(Some("status=a%20b+%zz&other=1&reload=off"), FIELDS).unwrap();
        assert_eq!(
            query,
            *json!({"after": 0, "heartbeat_s": 5.0, "reload": false, "status": "a b %zz"}).as_object().unwrap()
        );
    }
}
