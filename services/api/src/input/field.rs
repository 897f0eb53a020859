//! Declared parameters: one declaration checks the request and writes the OpenAPI schema.

use super::scalar::{amount, flag, integer, number};
use super::{Issue, Place};
use domain::Object;
use serde_json::{Value, json};

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number within inclusive bounds.
    Integer {
        /// Least value, when bounded.
        min: Option<i64>,
        /// Greatest value, when bounded.
        max: Option<i64>,
    },
    /// A number above `above` and up to `max`.
    Number {
        /// Exclusive lower bound.
        above: f64,
        /// Inclusive upper bound.
        max: f64,
    },
    /// A number within inclusive bounds.
    Amount {
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
    },
    /// Any JSON value.
    Any,
    /// A switch.
    Flag,
    /// A switch or a text.
    FlagOrText,
    /// A free object.
    Object,
    /// A list of texts.
    Texts,
    /// A list of objects of these fields.
    List(&'static [Field]),
    /// An object of these fields and no others.
    Record(&'static [Field]),
    /// A list of such objects.
    Records(&'static [Field]),
    /// An uploaded file (multipart only).
    File,
}

/// A field of a body, or a query parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// Whether `null` is taken.
    pub nullable: bool,
    /// Its default, as JSON text; absent when there is none.
    pub default: Option<&'static str>,
}

impl Field {
    /// Must be there.
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true, nullable: false, default: None }
    }

    /// May be absent or null.
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false, nullable: true, default: None }
    }

    /// May be absent, but not null.
    pub const fn given(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false, nullable: false, default: None }
    }

    /// May be absent; then it has this value, written as JSON.
    pub const fn defaults(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Self { name, kind, required: false, nullable: false, default: Some(default) }
    }

    /// The default as a value.
    pub fn default_value(&self) -> Option<Value> {
        self.default.and_then(|text| serde_json::from_str(text).ok())
    }

    /// Checks a given value and brings it into the declared type.
    pub fn check(&self, value: &Value, at: &[Place]) -> Result<Value, Vec<Issue>> {
        if value.is_null() && self.nullable {
            return Ok(Value::Null);
        }
        self.kind.check(value, at)
    }

    /// The JSON schema of the field.
    pub fn schema(&self) -> Value {
        let own = self.kind.schema();
        let mut schema = if self.nullable { json!({"anyOf": [own, {"type": "null"}]}) } else { own };
        if let (Some(default), Some(map)) = (self.default_value(), schema.as_object_mut()) {
            map.insert("default".to_owned(), default);
        }
        schema
    }
}

/// Checks an object against declared fields. Unknown keys are dropped, or refused when `closed`.
pub(super) fn check_object(given: &Object, fields: &[Field], closed: bool, at: &[Place]) -> Result<Object, Vec<Issue>> {
    let mut checked = Object::new();
    let mut issues = Vec::new();
    for field in fields {
        let mut place = at.to_vec();
        place.push(field.name.into());
        match given.get(field.name) {
            Some(value) => match field.check(value, &place) {
                Ok(value) => drop(checked.insert(field.name.to_owned(), value)),
                Err(more) => issues.extend(more),
            },
            None if field.required => issues.push(Issue::missing(&place, Value::Object(given.clone()))),
            None => {
                if let Some(default) = field.default_value() {
                    checked.insert(field.name.to_owned(), default);
                }
            }
        }
    }
    if closed {
        issues.extend(extra_keys(given, fields, at));
    }
    if issues.is_empty() { Ok(checked) } else { Err(issues) }
}

fn extra_keys(given: &Object, fields: &[Field], at: &[Place]) -> Vec<Issue> {
    let unknown = given.iter().filter(|(key, _)| fields.iter().all(|field| field.name != key.as_str()));
    unknown
        .map(|(key, value)| {
            let mut place = at.to_vec();
            place.push(key.as_str().into());
            Issue::extra(&place, value.clone())
        })
        .collect()
}

impl Kind {
    fn check(self, value: &Value, at: &[Place]) -> Result<Value, Vec<Issue>> {
        let one = |kind, msg| Err(vec![Issue::new(kind, at, msg, value.clone())]);
        match self {
            Self::Text | Self::File if value.is_string() => Ok(value.clone()),
            Self::Text | Self::File => one("string_type", "Input should be a valid string"),
            Self::Integer { min, max } => integer(value, min, max, at),
            Self::Number { above, max } => number(value, above, max, at),
            Self::Amount { min, max } => amount(value, min, max, at),
            Self::Any => Ok(value.clone()),
            Self::Flag => flag(value, at).map(Value::Bool),
            Self::FlagOrText if value.is_boolean() || value.is_string() => Ok(value.clone()),
            Self::FlagOrText => Err(flag_or_text(value, at)),
            Self::Object if value.is_object() => Ok(value.clone()),
            Self::Object => one("dict_type", "Input should be a valid dictionary"),
            Self::Texts => list(value, at, |item, at| Self::Text.check(item, at)),
            Self::List(fields) => list(value, at, |item, at| match item.as_object() {
                Some(object) => check_object(object, fields, false, at).map(Value::Object),
                None => Err(vec![not_an_object(item, at)]),
            }),
            Self::Record(fields) => match value.as_object() {
                Some(object) => check_object(object, fields, true, at).map(Value::Object),
                None => Err(vec![not_an_object(value, at)]),
            },
            Self::Records(fields) => list(value, at, |item, at| Self::Record(fields).check(item, at)),
        }
    }

    /// The JSON schema of the kind.
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Integer { min, max } => {
                let mut schema = json!({"type": "integer"});
                for (key, bound) in [("minimum", min), ("maximum", max)] {
                    if let Some(bound) = bound {
                        schema[key] = bound.into();
                    }
                }
                schema
            }
            Self::Number { above, max } => json!({"type": "number", "exclusiveMinimum": above, "maximum": max}),
            Self::Amount { min, max } => json!({"type": "number", "minimum": min, "maximum": max}),
            Self::Any => json!({}),
            Self::Flag => json!({"type": "boolean"}),
            Self::FlagOrText => json!({"anyOf": [{"type": "boolean"}, {"type": "string"}]}),
            Self::Object => json!({"type": "object", "additionalProperties": true}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::List(fields) => json!({"type": "array", "items": object_schema(fields, false)}),
            Self::Record(fields) => object_schema(fields, true),
            Self::Records(fields) => json!({"type": "array", "items": object_schema(fields, true)}),
            Self::File => json!({"type": "string", "contentMediaType": "application/octet-stream"}),
        }
    }
}

/// The JSON schema of an object of fields.
pub fn object_schema(fields: &[Field], closed: bool) -> Value {
    let properties: Object = fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if closed {
        schema["additionalProperties"] = false.into();
    }
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// The issue of a value that stands where an object must stand.
pub(super) fn not_an_object(value: &Value, at: &[Place]) -> Issue {
    let msg = "Input should be a valid dictionary or object to extract fields from";
    Issue::new("model_attributes_type", at, msg, value.clone())
}

fn list(
    value: &Value,
    at: &[Place],
    each: impl Fn(&Value, &[Place]) -> Result<Value, Vec<Issue>>,
) -> Result<Value, Vec<Issue>> {
    let Some(items) = value.as_array() else {
        return Err(vec![Issue::new("list_type", at, "Input should be a valid list", value.clone())]);
    };
    let (mut checked, mut issues) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let mut place = at.to_vec();
        place.push(Place::At(index));
        match each(item, &place) {
            Ok(item) => checked.push(item),
            Err(more) => issues.extend(more),
        }
    }
    if issues.is_empty() { Ok(Value::Array(checked)) } else { Err(issues) }
}

fn flag_or_text(value: &Value, at: &[Place]) -> Vec<Issue> {
    let within = |name: &str| [at, &[Place::from(name)]].concat();
    vec![
        Issue::new("bool_type", &within("bool"), "Input should be a valid boolean", value.clone()),
        Issue::new("string_type", &within("str"), "Input should be a valid string", value.clone()),
    ]
}
