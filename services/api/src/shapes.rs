//! Answers as the OpenAPI document describes them: names of keys and what they hold, in a notation of one line each.
//!
//! A key that ends with `?` may be missing. What it holds is `string`, `integer`, `number`, `boolean`, `object` or `any`,
//! a shape's name, `[of]` for a list and `{of}` for an object with keys of any name; a `?` behind it lets it be null.

use domain::Object;
use serde_json::{Value, json};

/// An answer, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Its name in the document.
    pub(crate) name: &'static str,
    /// Its keys and what they hold.
    pub(crate) keys: &'static [(&'static str, &'static str)],
}

/// A shape.
pub(crate) const fn shape(name: &'static str, keys: &'static [(&'static str, &'static str)]) -> Shape {
    Shape { name, keys }
}

impl Shape {
    /// Its JSON schema.
    pub(crate) fn schema(&self) -> Value {
        let bare = |key: &'static str| key.strip_suffix('?').unwrap_or(key);
        let properties: Object =
            self.keys.iter().map(|(key, holds)| (bare(key).to_owned(), described(holds))).collect();
        let required: Vec<&str> = self.keys.iter().map(|(key, _)| *key).filter(|key| !key.ends_with('?')).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }
}

/// The schema of what a key holds.
pub(crate) fn described(holds: &str) -> Value {
    if let Some(holds) = holds.strip_suffix('?') {
        return json!({"anyOf": [described(holds), {"type": "null"}]});
    }
    if let Some(of) = holds.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({"type": "array", "items": described(of)});
    }
    if let Some(of) = holds.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return json!({"type": "object", "additionalProperties": described(of)});
    }
    match holds {
        "any" => json!({}),
        "string" | "integer" | "number" | "boolean" | "object" => json!({"type": holds}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_notation_is_a_schema() {
        let shape = Shape { name: "S", keys: &[("a", "string?"), ("b?", "[{Job}]")] };
        let of_b = json!({"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Job"}});
        let nullable = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
        assert_eq!(
            shape.schema(),
            json!({
                "type": "object",
                "properties": {"a": nullable, "b": {"type": "array", "items": of_b}},
                "required": ["a"],
            })
        );
    }
}
