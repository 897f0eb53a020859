//! From a registration's fields to a checked record.

use super::{address, definition, fields};
use crate::ApiError;
use crate::input::{Input, Issue, Place};
use domain::control::{BACKEND_KINDS, ProgressMode, ServiceChange, ServiceMore, ServiceRecord};
use domain::nodes::ContainerName;
use domain::{Object, Time};
use serde_json::{Value, json};

/// The record of a new service. What is missing is said in the contract's order and words.
pub(super) fn new(input: &Input, now: Time) -> Result<ServiceRecord, ApiError> {
    let defined = input.object("definition").is_some();
    let contained = input.value("url").is_none();
    for field in ["name", "container", "port", "type"] {
        let missing = input.value(field).is_none_or(|value| *value == json!("") || *value == json!(0));
        let waived = match field {
            "container" => defined || !contained,
            "port" => !contained,
            _ => false,
        };
        if missing && !waived {
            return Err(ApiError::bad_request(format!("'{field}' is required")));
        }
    }
    let (name, service_type) = (input.text("name").unwrap_or_default(), input.text("type").unwrap_or_default());
    let mut record = ServiceRecord::at_url(name, "", service_type, now);
    record.url = None;
    if contained {
        record.container = Some(input.word("container").unwrap_or(name).to_owned());
    }
    checked(input, "name", name, address::name)?;
    changes(input, record.more.clone())?.apply(&mut record);
    record.enabled = input.value("enabled").and_then(Value::as_bool).unwrap_or(true);
    if record.url.is_some() && record.container.is_some() {
        return Err(refused("url", "is for services without a container; leave one of the two out", input));
    }
    (record.created_at, record.updated_at) = (now, now);
    Ok(record)
}

/// What is to be changed of a record, checked.
pub(super) fn changes(input: &Input, before: ServiceMore) -> Result<ServiceChange, ApiError> {
    let text = |name: &str| input.text(name).map(str::to_owned);
    let nullable = |name: &str| input.body.get(name).map(|value| value.as_str().map(str::to_owned));
    let port = input.integer("port").and_then(|port| u16::try_from(port).ok());
    let change = ServiceChange {
        container: text("container"),
        url: text("url"),
        port,
        health_endpoint: text("health_endpoint"),
        service_type: input.text("type").map(Into::into),
        description: nullable("description"),
        vram_gb: input.number("vram_gb"),
        progress_mode: progress_mode(input)?,
        progress_endpoint: nullable("progress_endpoint"),
        enabled: None,
        more: beyond(input, before)?.map(Box::new),
    };
    if port == Some(0) {
        return Err(refused("port", "must be 1 to 65535", input));
    }
    for field in ["health_endpoint", "progress_endpoint", "job_endpoint", "stop_endpoint"] {
        input.text(field).map_or(Ok(()), |path| checked(input, field, path, address::path))?;
    }
    input.text("type").map_or(Ok(()), |kind| checked(input, "type", kind, address::name))?;
    input.text("url").map_or(Ok(()), |url| checked(input, "url", url, address::base))?;
    if let Some(Err(error)) = input.text("container").map(ContainerName::new) {
        return Err(refused("container", &error.to_string(), input));
    }
    if input.text("description").is_some_and(|text| text.len() > 4_096) {
        return Err(refused("description", "must be at most 4096 bytes", input));
    }
    Ok(change)
}

fn progress_mode(input: &Input) -> Result<Option<ProgressMode>, ApiError> {
    let Some(word) = input.text("progress_mode") else { return Ok(None) };
    match serde_json::from_value(Value::from(word)) {
        Ok(mode) => Ok(Some(mode)),
        Err(_) => Err(refused("progress_mode", "must be stateless, queue or poll", input)),
    }
}

/// Names under which one service may serve models.
const MODELS: usize = 64;

/// The settings beyond the contract, if one of them is given.
fn beyond(input: &Input, before: ServiceMore) -> Result<Option<ServiceMore>, ApiError> {
    let given: Object = fields::BEYOND
        .iter()
        .filter_map(|field| Some((stored_name(field.name).to_owned(), input.body.get(field.name)?.clone())))
        .collect();
    if given.is_empty() {
        return Ok(None);
    }
    let kept = before.definition.clone();
    let mut all = serde_json::to_value(before).unwrap_or_default();
    if let Some(all) = all.as_object_mut() {
        all.extend(given);
    }
    unhide(&mut all, kept.as_ref());
    definition::spell_out(&mut all);
    let more: ServiceMore =
        serde_json::from_value(all).map_err(|error| refused("definition", &error.to_string(), input))?;
    if let Some(flaw) = more.definition.as_ref().and_then(definition::flaw) {
        return Err(refused("definition", &flaw, input));
    }
    let is_name = |name: &String| (1..=256).contains(&name.len()) && !name.chars().any(char::is_control);
    if more.models.len() > MODELS || !more.models.iter().chain(&more.upstream_model).all(is_name) {
        return Err(refused("models", "must be at most 64 names of 1 to 256 characters", input));
    }
    if let Some(kind) = more.backend_kind.as_deref().filter(|kind| !BACKEND_KINDS.contains(kind)) {
        let why = format!("'{kind}' is none of {}", BACKEND_KINDS.join(", "));
        return Err(refused("backend_kind", &why, input));
    }
    Ok(Some(more))
}

fn stored_name(field: &str) -> &str {
    if field == "eviction_priority" { "priority" } else { field }
}

/// A client that sends back what it was shown keeps the values that it was not shown.
fn unhide(all: &mut Value, kept: Option<&domain::nodes::Definition>) {
    let Some(variables) = all.pointer_mut("/definition/env").and_then(Value::as_object_mut) else { return };
    for (name, value) in variables.iter_mut().filter(|(_, value)| **value == super::view::HIDDEN) {
        if let Some(before) = kept.and_then(|kept| kept.env.get(name)) {
            *value = before.expose().into();
        }
    }
}

fn checked(
    input: &Input,
    field: &str,
    text: &str,
    check: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<(), ApiError> {
    check(text).map_err(|why| refused(field, why, input))
}

/// The 422 of a field whose value has the right type and no sense.
fn refused(field: &str, why: &str, input: &Input) -> ApiError {
    let value = input.body.get(field).cloned().unwrap_or_default();
    value_error(&[Place::from("body"), Place::from(field)], why, value)
}

/// The 422 of a value at a place.
pub(super) fn value_error(place: &[Place], why: &str, value: Value) -> ApiError {
    Issue::new("value_error", place, format!("Value error, {why}"), value).into()
}
