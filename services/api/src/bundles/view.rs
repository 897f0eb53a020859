//! Bundles as the contract shows them, key by key.

use domain::Object;
use flow::bundle::{inputs, is_draft, latest, node_index};
use flow::{Bundle, bundle::Entrypoint};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::bundles::{Deprecation, Installed, Snapshot};

/// Which bundles a list is to show.
#[derive(Debug, Clone, Copy, Default)]
pub struct Listing {
    /// Every version instead of the latest one.
    pub all_versions: bool,
    /// Drafts as well.
    pub include_drafts: bool,
    /// Deprecated entrypoints as well.
    pub include_deprecated: bool,
}

/// The items of the list, by bundle id and then version.
pub fn list(snapshot: &Snapshot, listing: Listing) -> Vec<Value> {
    let ids: BTreeSet<&str> = snapshot.bundles().map(|bundle| bundle.reference.id.as_str()).collect();
    ids.into_iter()
        .flat_map(|id| shown(snapshot, id, listing))
        .filter_map(|bundle| item(snapshot, &bundle, listing))
        .collect()
}

fn shown(snapshot: &Snapshot, id: &str, listing: Listing) -> Vec<Arc<Installed>> {
    if listing.all_versions {
        let wanted = |bundle: &&Arc<Installed>| listing.include_drafts || !is_draft(&bundle.reference.version);
        return snapshot.versions(id).filter(wanted).cloned().collect();
    }
    let latest = snapshot.latest(id).filter(|bundle| listing.include_drafts || !is_draft(&bundle.reference.version));
    latest.cloned().into_iter().collect()
}

fn item(snapshot: &Snapshot, bundle: &Arc<Installed>, listing: Listing) -> Option<Value> {
    let id = bundle.reference.id.as_str();
    let entrypoints: Vec<Value> = bundle
        .manifest
        .entrypoints
        .iter()
        .map(|entry| (entry, snapshot.deprecation(id, &entry.flow_id)))
        .filter(|(_, mark)| listing.include_deprecated || mark.is_none())
        .map(|(entry, mark)| list_entry(bundle, entry, mark))
        .collect();
    if entrypoints.is_empty() {
        return None;
    }
    let draft = is_draft(&bundle.reference.version);
    Some(json!({
        "bundle_id": id,
        "bundle_version": bundle.reference.version,
        "bundle_ref": bundle.reference.to_string(),
        "registry_scope": "private",
        "version_channel": if draft { "draft" } else { "published" },
        "is_draft": draft,
        "is_published": !draft,
        "latest_published_version": latest(versions(snapshot, id).into_iter().filter(|(version, _)| !is_draft(version))),
        "latest_any_version": latest_any(&versions(snapshot, id)),
        "created_at": bundle.manifest.created_at,
        "metadata": bundle.manifest.metadata,
        "default_entrypoint": bundle.manifest.default_entrypoint,
        "entrypoints": entrypoints,
        "actions": {
            "can_run": true,
            "can_upload": true,
            "can_remove": true,
            "can_deprecate": true,
            "catalog_promote_endpoint": "/api/gateway/admin/workflow-catalog/promote",
        },
    }))
}

fn versions<'a>(snapshot: &'a Snapshot, id: &'a str) -> Vec<(&'a str, &'a str)> {
    let pair = |bundle: &'a Arc<Installed>| (bundle.reference.version.as_str(), bundle.manifest.created_at.as_str());
    snapshot.versions(id).map(pair).collect()
}

/// The latest version of any channel: by time as soon as there is a draft, which has no number.
fn latest_any<'a>(versions: &[(&'a str, &'a str)]) -> Option<&'a str> {
    if versions.iter().any(|(version, _)| is_draft(version)) {
        return versions.iter().max_by_key(|(version, created)| (*created, *version)).map(|(version, _)| *version);
    }
    latest(versions.iter().copied())
}

fn list_entry(bundle: &Installed, entry: &Entrypoint, mark: Option<&Arc<Deprecation>>) -> Value {
    json!({
        "flow_id": entry.flow_id,
        "name": entry.name,
        "description": entry.description,
        "interfaces": entry.interfaces,
        "workflow_id": bundle.reference.workflow(&entry.flow_id),
        "deprecated": mark.is_some(),
        "deprecated_at": mark.map(|mark| mark.deprecated_at.rfc3339()),
        "deprecated_reason": mark.and_then(|mark| mark.reason.clone()),
    })
}

/// `GET /bundles/{bundle_id}`
pub fn detail(snapshot: &Snapshot, bundle: &Bundle) -> Value {
    let reference = bundle.reference();
    let manifest = &bundle.manifest;
    let entrypoints: Vec<Value> = manifest
        .entrypoints
        .iter()
        .map(|entry| {
            let flow = bundle.flow(&entry.flow_id).unwrap_or(&Value::Null);
            let mark = snapshot.deprecation(&reference.id, &entry.flow_id);
            json!({
                "flow_id": entry.flow_id,
                "workflow_id": reference.workflow(&entry.flow_id),
                "name": entry.name,
                "description": entry.description,
                "interfaces": entry.interfaces,
                "inputs": inputs(flow).iter().map(flow::bundle::InputPin::to_json).collect::<Vec<_>>(),
                "node_index": node_index(flow),
                "deprecated": mark.is_some(),
                "deprecated_at": mark.map(|mark| mark.deprecated_at.rfc3339()),
                "deprecated_reason": mark.and_then(|mark| mark.reason.clone()),
            })
        })
        .collect();
    json!({
        "bundle_id": reference.id,
        "bundle_version": reference.version,
        "bundle_ref": reference.to_string(),
        "created_at": manifest.created_at,
        "default_entrypoint": manifest.default_entrypoint,
        "entrypoints": entrypoints,
        "flows": manifest.flows.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "metadata": manifest.metadata,
    })
}

/// What every answer about one flow begins with.
#[derive(Debug, Serialize)]
pub struct FlowHead<'a> {
    bundle_id: &'a str,
    bundle_version: &'a str,
    bundle_ref: String,
    flow_id: &'a str,
    workflow_id: domain::WorkflowId,
}

impl<'a> FlowHead<'a> {
    /// Of a flow of a bundle.
    pub fn new(bundle: &'a Installed, flow: &'a str) -> Self {
        Self {
            bundle_id: &bundle.reference.id,
            bundle_version: &bundle.reference.version,
            bundle_ref: bundle.reference.to_string(),
            flow_id: flow,
            workflow_id: bundle.reference.workflow(flow),
        }
    }
}

/// A flow with its document.
#[derive(Debug, Serialize)]
pub struct FlowDocument<'a> {
    /// Which.
    #[serde(flatten)]
    pub head: FlowHead<'a>,
    /// As its author wrote it.
    pub flow: &'a Value,
}

/// A flow with what it asks for.
#[derive(Debug, Serialize)]
pub struct FlowInputs<'a> {
    /// Which.
    #[serde(flatten)]
    pub head: FlowHead<'a>,
    /// Of this answer's shape.
    pub version: u32,
    /// `inputs`, `defaults` and `input_data_schema`.
    #[serde(flatten)]
    pub schema: Object,
}
