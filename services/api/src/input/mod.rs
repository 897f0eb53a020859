//! Requests at the edge: declared fields, checked once, with the 422 lists that clients know.

mod body;
mod field;
mod issue;
mod multipart;
mod query;
mod scalar;
mod scan;
#[cfg(test)]
mod tests;

pub use body::{read_bytes, read_document, read_object};
pub use field::{Field, Kind, object_schema};
pub use issue::{Issue, Place};
pub use multipart::{Form, read_form};
pub use query::read_query;
pub use scan::{Flaw, scan};

use crate::principal::Principal;
use bus::TraceContext;
use bytes::Bytes;
use domain::Object;
use http::HeaderMap;
use serde_json::Value;

/// A request whose parameters have been checked against its operation's declaration.
///
/// The getters answer with the declared default for what the client left out; asking for a name that the
/// operation does not declare answers like an absent value.
#[derive(Debug)]
pub struct Input {
    /// Path parameters, decoded.
    pub path: Vec<(String, String)>,
    /// Query parameters, typed, defaults filled in.
    pub query: Object,
    /// Body fields, typed, defaults filled in.
    pub body: Object,
    /// The body of a document operation as it was written.
    pub raw: Bytes,
    /// The uploaded form of a multipart operation.
    pub form: Form,
    /// Request headers.
    pub headers: HeaderMap,
    /// Who asks.
    pub principal: Principal,
    /// The id of the request.
    pub request_id: Option<String>,
}

/// What links a message to this request: its id, and the current trace when traces are made.
pub fn trace(input: &Input) -> TraceContext {
    let mut traceparent = None;
    telemetry::inject(|name, value| {
        if name == "traceparent" {
            traceparent = Some(value);
        }
    });
    TraceContext { traceparent, request_id: input.request_id.clone() }
}

impl Input {
    /// A path parameter.
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A text of body or query; empty texts are kept.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(Value::as_str)
    }

    /// A trimmed, non-empty text of body or query.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.text(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A switch of body or query.
    pub fn flag(&self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A whole number of body or query.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(Value::as_i64)
    }

    /// A whole number that the declaration keeps at 0 or above.
    pub fn count(&self, name: &str) -> u64 {
        self.integer(name).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }

    /// A number of body or query.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.value(name).and_then(Value::as_f64)
    }

    /// An object of the body.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.value(name).and_then(Value::as_object)
    }

    /// A list of the body.
    pub fn list(&self, name: &str) -> Option<&Vec<Value>> {
        self.value(name).and_then(Value::as_array)
    }

    /// The raw value of body or query; explicit nulls count as absent.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.body.get(name).or_else(|| self.query.get(name)).filter(|value| !value.is_null())
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
    }
}
