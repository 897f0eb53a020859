//! From a submission's fields to a checked job, its payload kept as it was written.

use super::address;
use super::register::value_error;
use crate::api::now;
use crate::input::{Place, scan};
use crate::{Api, ApiError};
use domain::Object;
use domain::control::{JobId, JobRequest, Payload};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The members of a body as they were written; of equal names the last one counts, as everywhere.
pub(super) fn members(raw: &[u8]) -> HashMap<String, &RawValue> {
    // The body was read as JSON before, so this cannot fail.
    serde_json::from_slice(raw).unwrap_or_default()
}

/// A job out of checked fields. `at` is where the fields stand in the body.
pub(super) fn job(
    api: &Api,
    id: JobId,
    fields: &Object,
    payload: Option<&RawValue>,
    at: &[Place],
) -> Result<JobRequest, ApiError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
    let service_type = text("service_type").ok_or_else(|| ApiError::bad_request("service_type is required"))?;
    let payload = payload.filter(|_| fields.get("payload").is_some_and(is_something));
    let payload = payload.ok_or_else(|| ApiError::bad_request("payload is required"))?;
    let wrong = |field: &str, why: &str| {
        let place = [at, &[Place::from(field)]].concat();
        value_error(&place, why, fields.get(field).cloned().unwrap_or_default())
    };
    address::name(service_type).map_err(|why| wrong("service_type", why))?;
    text("service_name").map_or(Ok(()), address::name).map_err(|why| wrong("service_name", why))?;
    if let Some(url) = text("callback_url") {
        domain::notices::check_callback(url, &api.config.callback_targets)
            .map_err(|why| wrong("callback_url", &why))?;
    }
    let mut request = JobRequest::new(id, service_type.into(), verbatim(payload), now());
    if let Some(priority) = fields.get("priority").and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok())
    {
        request.priority = priority;
    }
    if fields.contains_key("ttl_seconds") {
        request.ttl_seconds = number("ttl_seconds");
    }
    if let Some(attempts) = number("max_attempts").and_then(|number| u32::try_from(number).ok()) {
        request.max_attempts = attempts;
    }
    request.service_name = text("service_name").map(Into::into);
    request.callback_url = text("callback_url").map(str::to_owned);
    request.timeout_ms = number("timeout_ms");
    request.retry_first_ms = number("retry_first_ms");
    Ok(request)
}

/// The id that a key stands for, or a new one.
pub(super) fn id(api: &Api, key: Option<&str>) -> Result<JobId, ApiError> {
    match key.filter(|key| !key.is_empty()) {
        None => Ok(api.control().new_job_id()),
        Some(key) if key.len() <= 255 => Ok(api.control().job_id_of(key)),
        Some(_) => Err(ApiError::bad_request("an idempotency key has at most 255 bytes")),
    }
}

/// What the contract takes for a payload: anything that is not empty, zero, false or null.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// The text as it was written, unless only a lenient reader would take it.
fn verbatim(payload: &RawValue) -> Payload {
    debug_assert!(scan(payload.get()).is_ok(), "the body was scanned before");
    payload.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_empty_is_no_payload() {
        for empty in [json!(null), json!({}), json!([]), json!(0), json!(0.0), json!(""), json!(false)] {
            assert!(!is_something(&empty), "{empty}");
        }
        for full in [json!({"a": null}), json!([0]), json!(-1), json!(" "), json!(true)] {
            assert!(is_something(&full), "{full}");
        }
    }

    #[test]
    fn members_keep_their_text_and_the_last_of_equal_names_counts() {
        let found = members(br#"{"payload": {"a": 1.50,  "b":"\u00e9"}, "x": 1, "x": 2}"#);
        assert_eq!(found["payload"].get(), r#"{"a": 1.50,  "b":"\u00e9"}"#);
        assert_eq!(found["x"].get(), "2");
    }
}
