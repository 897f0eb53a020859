//! The manifest of a bundle; each key is also taken in its camelCase form.

use super::BundleError;
use super::archive::is_safe_path;
use domain::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// A flow that a bundle offers to be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entrypoint {
    /// The flow.
    pub flow_id: String,
    /// What people call it; the flow id when the author gave none.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Contracts that it fulfils, such as `abstractcode.agent.v1`.
    pub interfaces: Vec<String>,
}

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its id.
    pub bundle_id: String,
    /// Its version, free text.
    pub bundle_version: String,
    /// ISO time or empty; orders versions that are not numeric.
    pub created_at: String,
    /// The flows it offers, at least one.
    pub entrypoints: Vec<Entrypoint>,
    /// The one that starts when the client names none.
    pub default_entrypoint: Option<String>,
    /// Paths by flow id.
    pub flows: Vec<(String, String)>,
    /// Free.
    pub metadata: Object,
}

impl Manifest {
    pub(super) fn read(value: &Value) -> Result<Self, BundleError> {
        let object = value.as_object().ok_or_else(|| refuse("is not a JSON object"))?;
        let field = |snake: &str| get(object, snake);
        if string(field("bundle_format_version")).as_deref() != Some("1") {
            return Err(refuse("bundle_format_version must be \"1\""));
        }
        let bundle_id = string(field("bundle_id")).ok_or_else(|| refuse("bundle_id must not be empty"))?;
        let entrypoints = entrypoints(field("entrypoints"))?;
        let default_entrypoint =
            string(field("default_entrypoint")).or_else(|| string(field("default_entrypoint_flow_id")));
        if let Some(id) = default_entrypoint.as_ref().filter(|id| entrypoints.iter().all(|entry| entry.flow_id != **id))
        {
            return Err(refuse(&format!("default_entrypoint '{id}' is not an entrypoint")));
        }
        let flows = paths(field("flows"), "flows")?;
        if flows.is_empty() {
            return Err(refuse("flows must name at least one flow"));
        }
        paths(field("artifacts"), "artifacts")?;
        paths(field("assets"), "assets")?;
        Ok(Self {
            bundle_id,
            bundle_version: string(field("bundle_version")).unwrap_or_else(|| "0.0.0".to_owned()),
            created_at: string(field("created_at")).unwrap_or_default(),
            entrypoints,
            default_entrypoint,
            flows,
            metadata: field("metadata").and_then(Value::as_object).cloned().unwrap_or_default(),
        })
    }

    /// The flow that starts when the client names none: the only entrypoint, or the default one.
    pub fn default_flow(&self) -> Option<&str> {
        match self.entrypoints.as_slice() {
            [only] => Some(&only.flow_id),
            _ => self.default_entrypoint.as_deref(),
        }
    }
}

fn refuse(reason: &str) -> BundleError {
    BundleError::Manifest(reason.to_owned())
}

fn get<'a>(object: &'a Object, snake: &str) -> Option<&'a Value> {
    object.get(snake).or_else(|| object.get(&camel(snake))).filter(|value| !value.is_null())
}

fn camel(snake: &str) -> String {
    let mut parts = snake.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        name.push_str(&head.to_uppercase());
        name.push_str(tail);
        name
    })
}

fn string(value: Option<&Value>) -> Option<String> {
    crate::compile::text(value)
}

fn entrypoints(value: Option<&Value>) -> Result<Vec<Entrypoint>, BundleError> {
    let list = value.and_then(Value::as_array).ok_or_else(|| refuse("entrypoints must be a list"))?;
    let mut seen = HashSet::new();
    let mut entrypoints = Vec::new();
    for entry in list.iter().filter_map(Value::as_object) {
        let flow_id = string(get(entry, "flow_id")).ok_or_else(|| refuse("an entrypoint has an empty flow_id"))?;
        if !seen.insert(flow_id.clone()) {
            return Err(refuse(&format!("entrypoint '{flow_id}' appears twice")));
        }
        let interfaces = entry.get("interfaces").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        entrypoints.push(Entrypoint {
            name: string(entry.get("name")).unwrap_or_else(|| flow_id.clone()),
            description: entry.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            interfaces: interfaces.iter().filter_map(|mark| string(Some(mark))).collect(),
            flow_id,
        });
    }
    if entrypoints.is_empty() {
        return Err(refuse("entrypoints must name at least one flow"));
    }
    Ok(entrypoints)
}

fn paths(value: Option<&Value>, key: &str) -> Result<Vec<(String, String)>, BundleError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let map = value.as_object().ok_or_else(|| refuse(&format!("{key} must be an object of paths")))?;
    let mut paths = Vec::with_capacity(map.len());
    for (id, path) in map {
        let path = path.as_str().filter(|path| !id.trim().is_empty() && is_safe_path(path));
        let path = path.ok_or_else(|| refuse(&format!("{key}.{id} is not a safe relative path")))?;
        paths.push((id.clone(), path.to_owned()));
    }
    Ok(paths)
}
