//! JSON values as YAML, for people and for programs that read YAML.

use serde_json::Value;
use std::fmt::Write;

/// The value as a YAML document.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text.trim_start_matches('\n').to_owned()
}

/// Writes a value behind its key or dash; a collection begins on a new line.
fn write(value: &Value, depth: usize, into: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let _ = write!(into, "\n{indent}{}:", scalar(key));
                write(value, depth + 1, into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(into, "\n{indent}-");
                write(item, depth + 1, into);
            }
        }
        Value::String(text) => {
            let _ = write!(into, " {}", scalar(text));
        }
        // Numbers, switches, null and empty collections are written alike in both languages.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let _ = write!(into, " {value}");
        }
    }
}

/// Bare where that cannot be taken for anything but a text, else in JSON's quotes, which YAML reads too.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@".contains(c));
    let means_more =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if is_word && !means_more { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn collections_nest_and_doubtful_texts_are_quoted() {
        let value = json!([{"run_id": "a-1", "vars": {"m": 1, "yes": "no", "t": "a: b"}, "none": [], "tags": ["x"]}]);
        let expected =
            "-\n  run_id: a-1\n  vars:\n    m: 1\n    \"yes\": \"no\"\n    t: \"a: b\"\n  none: []\n  tags:\n    - x";
        assert_eq!(text(&value), expected);
    }
}
