//! `/v1/models`: everything that a request may name, with where it stands.

use crate::proxy::Setup;
use crate::routing::{Backend, Model, ModelState};
use domain::control::OfferStage;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The OpenAI list. A model that a backend lists keeps the backend's own fields.
pub(crate) fn list(setup: &Setup, may_use: impl Fn(&str) -> bool) -> Value {
    let mut models: BTreeMap<String, Value> = BTreeMap::new();
    for backend in &setup.fleet.backends {
        for entry in backend.seen().models.iter().flat_map(|list| list.iter()) {
            let Some(id) = entry["id"].as_str() else { continue };
            let told = describe(entry.as_object().cloned().unwrap_or_default(), id, backend, backend.state_of(entry));
            merge(&mut models, id, told);
        }
    }
    for (name, model) in setup.fleet.named() {
        models.insert(name.clone(), configured(name, model));
    }
    if let Some(name) = &setup.config.default_model
        && !models.contains_key(name)
        && let Some(backend) = setup.fleet.backends.first()
    {
        let state = if backend.seen().healthy == Some(false) { ModelState::Unreachable } else { ModelState::Loadable };
        merge(&mut models, name, describe(Map::new(), name, backend, state));
    }
    let data: Vec<Value> = models.into_iter().filter(|(id, _)| may_use(id)).map(|(_, model)| model).collect();
    json!({"object": "list", "data": data})
}

/// The same list as Anthropic's clients read it; what they do not know of stays.
pub(crate) fn for_anthropic(mut list: Value) -> Value {
    for model in list["data"].as_array_mut().into_iter().flatten() {
        let created = model["created"].as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        model["type"] = json!("model");
        model["display_name"] = model["id"].clone();
        model["created_at"] = json!(created.unwrap_or_default().to_string());
    }
    let id = |model: Option<&Value>| model.map(|model| model["id"].clone());
    let data = list["data"].as_array();
    let (first, last) = (id(data.and_then(|data| data.first())), id(data.and_then(|data| data.last())));
    (list["first_id"], list["last_id"], list["has_more"]) = (json!(first), json!(last), json!(false));
    list
}

/// A model with an entry, by its name or by an alias.
fn configured(name: &str, model: &Arc<Model>) -> Value {
    let mut states: Vec<ModelState> = model
        .replicas
        .iter()
        .map(|replica| {
            let name = replica.upstream_name.as_deref().unwrap_or(&model.name);
            let list = replica.backend.seen().models;
            let entry = list.iter().flat_map(|list| list.iter()).find(|entry| entry["id"] == name);
            replica.backend.state_of(entry.unwrap_or(&Value::Null))
        })
        .collect();
    states.extend(model.services.iter().map(|service| match service.standing().offer.stage {
        OfferStage::Ready => ModelState::Loaded,
        OfferStage::Stopped | OfferStage::Starting | OfferStage::Leaving => ModelState::Loadable,
        OfferStage::Unavailable => ModelState::Unreachable,
    }));
    states.sort();
    let elsewhere = if model.fallbacks.is_empty() { ModelState::Unreachable } else { ModelState::Loadable };
    let state = states.first().copied().unwrap_or(elsewhere);
    let backends = model.replicas.iter().map(|replica| replica.backend.name());
    let services = model.services.iter().map(|service| service.name().as_str());
    let backends: Vec<&str> = backends.chain(services).collect();
    let mut told = json!({
        "id": name, "object": "model", "created": 0, "owned_by": "gantry",
        "state": state.as_str(), "backends": backends, "fallbacks": model.fallbacks,
    });
    if name != model.name {
        told["alias_of"] = json!(model.name);
    }
    told
}

fn describe(mut entry: Map<String, Value>, id: &str, backend: &Backend, state: ModelState) -> Value {
    entry.insert("id".to_owned(), json!(id));
    entry.insert("object".to_owned(), json!("model"));
    entry.entry("created").or_insert(json!(0));
    entry.entry("owned_by").or_insert(json!(backend.kind.name));
    entry.insert("state".to_owned(), json!(state.as_str()));
    entry.insert("backends".to_owned(), json!([backend.name()]));
    Value::Object(entry)
}

/// The same model on another backend: the better state counts, and both are named.
fn merge(models: &mut BTreeMap<String, Value>, id: &str, told: Value) {
    let Some(known) = models.get_mut(id) else {
        models.insert(id.to_owned(), told);
        return;
    };
    let rank = |value: &Value| ["loaded", "loadable", "unreachable"].iter().position(|word| value["state"] == *word);
    if rank(&told) < rank(known) {
        known["state"] = told["state"].clone();
    }
    if let (Some(all), Some(more)) = (known["backends"].as_array_mut(), told["backends"].as_array()) {
        all.extend(more.iter().cloned());
    }
}
