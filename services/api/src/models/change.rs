//! From a request's fields to a backend or a model. What the request does not name stays as it is, and null takes it away.

use crate::ApiError;
use crate::input::{Input, Issue, Place};
use domain::Object;
use domain::models::{BackendSpec, Fault, ModelSpec, UpstreamKey};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Takes over what the request names. A key goes to the server that it was given for, and to no other.
pub(super) fn backend(spec: &mut BackendSpec, given: &Object) -> Result<(), Fault> {
    let before = origin(&spec.base_url);
    take_text(&mut spec.kind, given, "kind");
    take_text(&mut spec.base_url, given, "base_url");
    let text = |name: &str| given.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let is_moved = before != origin(&spec.base_url);
    if is_moved && spec.api_key.is_some() && !given.contains_key("api_key") && text("api_key_file").is_none() {
        let why = "the stored key belongs to the server at the old URL; give one for the new server, or null for none";
        return Err(Fault::new("api_key", why));
    }
    // A backend has one key, so that a new one takes the other's place.
    match (text("api_key"), text("api_key_file")) {
        (Some(_), None) => spec.api_key_file = None,
        (None, Some(_)) => spec.api_key = None,
        (None, None) | (Some(_), Some(_)) => {}
    }
    if given.contains_key("api_key") {
        spec.api_key = text("api_key").map(UpstreamKey::new);
    }
    if given.contains_key("api_key_file") {
        spec.api_key_file = text("api_key_file").map(str::to_owned);
    }
    take(&mut spec.concurrency, given, "concurrency")?;
    take(&mut spec.capabilities, given, "capabilities")?;
    take(&mut spec.sleep_after_s, given, "sleep_after_s")?;
    take(&mut spec.on_disconnect, given, "on_disconnect")
}

/// The same of a model. Times are taken over one by one.
pub(super) fn model(spec: &mut ModelSpec, given: &Object) -> Result<(), Fault> {
    take(&mut spec.aliases, given, "aliases")?;
    take(&mut spec.replicas, given, "replicas")?;
    take(&mut spec.fallbacks, given, "fallbacks")?;
    take(&mut spec.queue, given, "queue")?;
    match given.get("timeouts") {
        None => {}
        Some(Value::Object(times)) => {
            let own = &mut spec.timeouts;
            take(&mut own.connect_s, times, "connect_s")?;
            take(&mut own.queue_s, times, "queue_s")?;
            take(&mut own.start_s, times, "start_s")?;
            take(&mut own.first_token_s, times, "first_token_s")?;
            take(&mut own.between_tokens_s, times, "between_tokens_s")?;
            take(&mut own.total_s, times, "total_s")?;
        }
        Some(_) => spec.timeouts = Default::default(),
    }
    Ok(())
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String)> {
    let uri: http::Uri = domain::models::base_url(url).ok()?.parse().ok()?;
    Some((uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?.as_str().to_ascii_lowercase()))
}

fn take_text(field: &mut String, given: &Object, name: &str) {
    if let Some(text) = given.get(name).and_then(Value::as_str) {
        *field = text.trim().to_owned();
    }
}

fn take<T: DeserializeOwned + Default>(field: &mut T, given: &Object, name: &'static str) -> Result<(), Fault> {
    match given.get(name) {
        None => {}
        Some(Value::Null) => *field = T::default(),
        Some(value) => {
            *field = serde_json::from_value(value.clone()).map_err(|error| Fault::new(name, error.to_string()))?;
        }
    }
    Ok(())
}

/// A fault as a client sees it: 422 with the field's place. A key is not repeated.
pub(super) fn refused(fault: &Fault, input: &Input) -> ApiError {
    let (place, value) = match fault.field {
        "name" => ("path", input.path("name").into()),
        field => ("body", input.body.get(field).cloned().unwrap_or_default()),
    };
    let msg = format!("Value error, {}", fault.why);
    Issue::new("value_error", &[Place::from(place), Place::from(fault.field)], msg, value).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_not_named_stays_and_null_takes_it_away() {
        let mut spec = ModelSpec::default();
        let all = json!({
            "aliases": ["x"], "replicas": [{"backend": "a", "weight": 2}], "queue": 3,
            "timeouts": {"connect_s": 1, "total_s": 9},
        });
        model(&mut spec, &object(all)).unwrap();
        model(&mut spec, &object(json!({"queue": null, "timeouts": {"connect_s": null, "start_s": 5}}))).unwrap();
        assert_eq!((spec.queue, spec.aliases.as_slice()), (None, ["x".to_owned()].as_slice()));
        let times = spec.timeouts;
        assert_eq!((times.connect_s, times.start_s, times.total_s), (None, Some(5.0), Some(9.0)));
        model(&mut spec, &object(json!({"timeouts": null, "aliases": null}))).unwrap();
        assert_eq!((spec.timeouts, spec.aliases.len(), spec.replicas.len()), (Default::default(), 0, 1));
    }

    #[test]
    fn a_stored_key_goes_to_no_other_server_and_a_backend_has_one_key() {
        let mut spec = BackendSpec::default();
        let first = json!({"kind": "vllm", "base_url": "http://a:1/v1", "api_key": "k", "concurrency": 4});
        backend(&mut spec, &object(first)).unwrap();
        let same = backend(&mut spec, &object(json!({"base_url": "http://A:1/other/v1"})));
        assert_eq!((same, spec.concurrency), (Ok(()), Some(4)));
        for url in ["http://a:2/v1", "https://a:1/v1", "http://b:1/v1"] {
            let moved = backend(&mut spec.clone(), &object(json!({ "base_url": url })));
            assert_eq!(moved.unwrap_err().field, "api_key", "{url}");
        }
        for key in [json!("new"), Value::Null] {
            let moved = json!({"base_url": "http://b:1/v1", "api_key": key});
            assert_eq!(backend(&mut spec.clone(), &object(moved)), Ok(()));
        }
        backend(&mut spec, &object(json!({"api_key_file": "key"}))).unwrap();
        assert_eq!((spec.api_key.is_some(), spec.api_key_file.as_deref()), (false, Some("key")));
        backend(&mut spec, &object(json!({"api_key": "again"}))).unwrap();
        assert_eq!((spec.api_key.is_some(), spec.api_key_file.as_deref()), (true, None));
    }
}
