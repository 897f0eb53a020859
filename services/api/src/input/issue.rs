//! One item of a 422 answer: `{"type", "loc", "msg", "input", "ctx"?}`.

use serde::Serialize;
use serde_json::{Value, json};

/// One step of the way to the offending value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// `body`, `query`, `path`, or a field.
    Name(String),
    /// An index of a list, or an offset into the text.
    At(usize),
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Issue {
    /// The machine-readable kind, such as `missing`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where.
    pub loc: Vec<Place>,
    /// For people.
    pub msg: String,
    /// The offending value.
    pub input: Value,
    /// The bound or the parser's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

/// Keys whose values are never repeated, not even to whoever sent them: answers end up in logs.
const SECRETS: [&str; 1] = ["api_key"];

fn without_secrets(loc: &[Place], mut input: Value) -> Value {
    let is_secret = |name: &str| SECRETS.contains(&name);
    if loc.iter().any(|place| matches!(place, Place::Name(name) if is_secret(name))) {
        return Value::Null;
    }
    for (_, value) in input.as_object_mut().into_iter().flatten().filter(|(name, _)| is_secret(name)) {
        *value = Value::Null;
    }
    input
}

impl Issue {
    /// Any issue without context.
    pub fn new(kind: &'static str, loc: &[Place], msg: impl Into<String>, input: Value) -> Self {
        Self { kind, loc: loc.to_vec(), msg: msg.into(), input: without_secrets(loc, input), ctx: None }
    }

    /// A required field that is not there; `input` is the object it is missing from.
    pub fn missing(loc: &[Place], input: Value) -> Self {
        Self::new("missing", loc, "Field required", input)
    }

    /// A key that the operation does not take.
    pub fn extra(loc: &[Place], input: Value) -> Self {
        Self::new("extra_forbidden", loc, "Extra inputs are not permitted", input)
    }

    /// A text that is no JSON, at an offset counted in characters.
    pub fn json_invalid(offset: usize, error: &str) -> Self {
        let loc = [Place::from("body"), Place::At(offset)];
        Self::new("json_invalid", &loc, "JSON decode error", json!({})).with("error", Value::from(error))
    }

    /// Adds the one context entry that the kind carries.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.ctx = Some(json!({ key: value }));
        self
    }
}
