//! JSON bodies, read within their limit and checked against declared fields.

use super::field::{check_object, not_an_object};
use super::{Field, Issue, Place, scan};
use crate::ApiError;
use axum::body::Body;
use bytes::Bytes;
use domain::Object;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use std::time::Duration;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a whole body, at most `limit` bytes of it.
pub async fn read_bytes(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let read = async {
        match http_body_util::Limited::new(body, limit).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(problem) if is_limit(&*problem) => {
                Err(ApiError::too_large(format!("Payload Too Large (more than {limit} bytes)")))
            }
            Err(problem) => Err(ApiError::bad_request(format!("the body could not be read: {problem}"))),
        }
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 60 s")),
    }
}

/// Whether a body ended at a limit: this one, or the one that an outer layer put around it.
fn is_limit(problem: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(problem), |problem| problem.source())
        .any(|problem| problem.is::<http_body_util::LengthLimitError>())
}

/// Reads a JSON object and checks it against its fields.
pub fn read_object(headers: &HeaderMap, bytes: &Bytes, fields: &[Field], closed: bool) -> Result<Object, ApiError> {
    let at = [Place::from("body")];
    if bytes.is_empty() {
        return Err(Issue::missing(&at, Value::Null).into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::bad_request("There was an error parsing the body"))?;
    if !is_json(headers) {
        return Err(not_an_object(&Value::from(text), &at).into());
    }
    scan(text).map_err(|flaw| Issue::json_invalid(flaw.offset, flaw.error))?;
    let value: Value =
        serde_json::from_str(text).map_err(|problem| Issue::json_invalid(problem.column(), &problem.to_string()))?;
    match &value {
        Value::Object(given) => check_object(given, fields, closed, &at).map_err(ApiError::Invalid),
        Value::Null => Err(Issue::missing(&at, Value::Null).into()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(not_an_object(&value, &at).into())
        }
    }
}

/// Reads a JSON object as the GPU control plane's clients know it: another type of content, or none, is no object.
pub fn read_document(headers: &HeaderMap, bytes: &Bytes, fields: &[Field]) -> Result<Object, ApiError> {
    let at = [Place::from("body")];
    if bytes.is_empty() {
        return Err(Issue::missing(&at, Value::Null).into());
    }
    let no_object = |input: Value| Issue::new("dict_type", &at, "Input should be a valid dictionary", input);
    let text = std::str::from_utf8(bytes).map_err(|_| ApiError::bad_request("There was an error parsing the body"))?;
    if !headers.contains_key(header::CONTENT_TYPE) || !is_json(headers) {
        return Err(no_object(Value::from(text)).into());
    }
    scan(text).map_err(|flaw| Issue::json_invalid(flaw.offset, flaw.error))?;
    let value: Value =
        serde_json::from_str(text).map_err(|problem| Issue::json_invalid(problem.column(), &problem.to_string()))?;
    match &value {
        Value::Object(given) => check_object(given, fields, false, &at).map_err(ApiError::Invalid),
        Value::Null => Err(Issue::missing(&at, Value::Null).into()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(no_object(value).into()),
    }
}

/// A body without a type counts as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(declared) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let declared = declared.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let subtype = declared.to_ascii_lowercase();
    subtype.strip_prefix("application/").is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Kind;
    use serde_json::json;

    const FIELDS: &[Field] = &[
        Field::required("name", Kind::Text),
        Field::defaults("input_data", Kind::Object, "{}"),
        Field::optional("thinking", Kind::FlagOrText),
        Field::defaults("runs", Kind::List(&[Field::required("run_id", Kind::Text)]), "[]"),
    ];

    fn issues(body: &str, closed: bool) -> Value {
        match read_object(&HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes()), FIELDS, closed) {
            Err(ApiError::Invalid(issues)) => serde_json::to_value(issues).unwrap(),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn the_422_items_are_those_of_the_contract() {
        assert_eq!(
            issues(r#"{"name":"x","input_data":"x"}"#, false),
            json!([{"type": "dict_type", "loc": ["body", "input_data"],
                "msg": "Input should be a valid dictionary", "input": "x"}])
        );
        assert_eq!(
            issues(r#"{"run_id":"r"}"#, false),
            json!([{"type": "missing", "loc": ["body", "name"], "msg": "Field required", "input": {"run_id": "r"}}])
        );
        assert_eq!(
            issues(r#"{"name":"x","bogus":1}"#, true),
            json!([{"type": "extra_forbidden", "loc": ["body", "bogus"],
                "msg": "Extra inputs are not permitted", "input": 1}])
        );
        assert_eq!(
            issues("{nope", false),
            json!([{"type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error", "input": {},
                "ctx": {"error": "Expecting property name enclosed in double quotes"}}])
        );
        assert_eq!(
            issues(r#"{"name":"x","runs":[{"run_id":"a"},{}]}"#, false)[0]["loc"],
            json!(["body", "runs", 1, "run_id"])
        );
        assert_eq!(issues("", false)[0]["loc"], json!(["body"]));
        assert_eq!(issues("[]", false)[0]["type"], "model_attributes_type");
        assert_eq!(issues(r#"{"name":5}"#, false)[0]["type"], "string_type");
    }

    #[test]
    fn an_explicit_null_is_taken_where_the_field_allows_it() {
        let body = Bytes::from_static(br#"{"name":"x","thinking":null,"other":1}"#);
        let read = read_object(&HeaderMap::new(), &body, FIELDS, false).unwrap();
        assert_eq!(Value::Object(read), json!({"name": "x", "input_data": {}, "thinking": null, "runs": []}));
    }
}
