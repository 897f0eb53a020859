//! From a request's fields to a checked key.

use crate::ApiError;
use crate::input::{Input, Issue, Place};
use domain::keys::{KeyLimits, KeyRecord, KeyScope, MOST_MODELS, NAME_BYTES, hash_key, is_key_name, key_of};
use domain::{Object, Time};
use serde_json::Value;
use uuid::Uuid;

/// Longest tenant or model name, in bytes.
const TEXT_BYTES: usize = 256;

/// A new key out of a request, and its record.
pub(super) fn create(input: &Input, now: Time) -> Result<(String, KeyRecord), ApiError> {
    let name = input.word("name").unwrap_or_default();
    if !is_key_name(name) {
        let why = format!("must be 1 to {NAME_BYTES} letters, digits, dots, dashes or underscores");
        return Err(refused("name", &why, input));
    }
    let mut random = [0; 32];
    random[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    random[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    let key = key_of(random);
    let mut record = KeyRecord {
        id: format!("key_{}", Uuid::new_v4().simple()),
        name: name.to_owned(),
        hash: hash_key(&key),
        tenant: None,
        scopes: Vec::new(),
        models: Vec::new(),
        limits: KeyLimits::default(),
        created_at: now,
        updated_at: now,
        revoked_at: None,
    };
    change(&mut record, input)?;
    Ok((key, record))
}

/// Takes over every field that the request names; null takes a limit away.
pub(super) fn change(record: &mut KeyRecord, input: &Input) -> Result<(), ApiError> {
    let given: &Object = &input.body;
    let number = |name: &str, before: Option<u32>| match given.get(name) {
        Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        None => before,
    };
    let limits = &mut record.limits;
    limits.requests_per_minute = number("requests_per_minute", limits.requests_per_minute);
    limits.tokens_per_minute = number("tokens_per_minute", limits.tokens_per_minute);
    limits.concurrent = number("concurrent", limits.concurrent);
    limits.weight = number("weight", limits.weight);
    if let Some(value) = given.get("token_budget") {
        limits.token_budget = value.as_u64();
    }
    if let Some(value) = given.get("priority") {
        limits.priority = value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
    }
    if let Some(value) = given.get("tenant") {
        record.tenant = value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        if record.tenant.as_ref().is_some_and(|text| text.len() > TEXT_BYTES || text.chars().any(char::is_control)) {
            return Err(refused(
                "tenant",
                &format!("must be at most {TEXT_BYTES} bytes without control characters"),
                input,
            ));
        }
    }
    if let Some(value) = given.get("scopes") {
        let words = texts(value);
        let scopes: Option<Vec<KeyScope>> = words.iter().map(|word| KeyScope::parse(word)).collect();
        record.scopes =
            scopes.ok_or_else(|| refused("scopes", "must be some of inference, models and admin", input))?;
        record.scopes.dedup();
    }
    if let Some(value) = given.get("models") {
        record.models = texts(value).into_iter().map(str::to_owned).collect();
        let wrong = |name: &String| name.is_empty() || name.len() > TEXT_BYTES;
        if record.models.len() > MOST_MODELS || record.models.iter().any(wrong) {
            let why = format!("must be at most {MOST_MODELS} names of 1 to {TEXT_BYTES} bytes");
            return Err(refused("models", &why, input));
        }
    }
    Ok(())
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn refused(field: &'static str, why: &str, input: &Input) -> ApiError {
    let value = input.body.get(field).cloned().unwrap_or_default();
    Issue::new("value_error", &[Place::from("body"), Place::from(field)], format!("Value error, {why}"), value).into()
}
