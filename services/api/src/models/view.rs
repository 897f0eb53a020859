//! How backends and models are shown: with how they stand at each proxy, and never with a key.

use super::table::Picture;
use domain::models::{BackendReport, BackendSpec, Entry, Kind, ModelSpec, ProxyReport, Stored};
use serde_json::{Value, json};

/// A stored backend.
pub(super) fn backend(name: &str, stored: &Stored<BackendSpec>, picture: &Picture) -> Value {
    let mut shown = match stored {
        Stored::Read(Entry { spec, .. }) => json!({
            "name": name,
            "source": "stored",
            "kind": spec.kind,
            "base_url": spec.base_url,
            "has_api_key": spec.api_key.is_some() || spec.api_key_file.is_some(),
            "api_key_file": spec.api_key_file,
            "concurrency": spec.concurrency,
            "capabilities": spec.capabilities,
            "sleep_after_s": spec.sleep_after_s,
            "on_disconnect": spec.on_disconnect,
        }),
        Stored::Unread { why, .. } => json!({"name": name, "source": "stored", "unreadable": why}),
    };
    shown["models"] = json!(picture.table.models_at(name));
    stamp(&mut shown, stored.entry().map(|entry| (entry.revision, entry.created_at, entry.updated_at)));
    let at = |report: &ProxyReport| {
        let found = report.backends.iter().find(|one| one.name == name && one.stored);
        standing(report, Kind::Backend, name, revision(stored), found)
    };
    shown["proxies"] = picture.reports.iter().map(at).collect();
    shown
}

/// A backend that proxies' own settings name.
pub(super) fn own_backend(name: &str, picture: &Picture) -> Option<Value> {
    let at = |report: &ProxyReport| {
        let found = report.backends.iter().find(|one| one.name == name && !one.stored)?;
        Some((found.clone(), standing(report, Kind::Backend, "", 0, Some(found))))
    };
    let (found, proxies): (Vec<_>, Vec<_>) = picture.reports.iter().filter_map(at).unzip();
    let first = found.first()?;
    Some(json!({
        "name": name, "source": "settings", "kind": first.kind, "base_url": first.base_url,
        "models": picture.table.models_at(name), "proxies": proxies,
    }))
}

/// A stored model.
pub(super) fn model(name: &str, stored: &Stored<ModelSpec>, picture: &Picture) -> Value {
    let mut shown = match stored {
        Stored::Read(Entry { spec, .. }) => said(name, "stored", spec),
        Stored::Unread { why, .. } => json!({"name": name, "source": "stored", "unreadable": why}),
    };
    stamp(&mut shown, stored.entry().map(|entry| (entry.revision, entry.created_at, entry.updated_at)));
    let at = |report: &ProxyReport| standing(report, Kind::Model, name, revision(stored), None);
    shown["proxies"] = picture.reports.iter().map(at).collect();
    shown
}

/// A model that proxies' own settings name.
pub(super) fn own_model(name: &str, picture: &Picture) -> Option<Value> {
    let at = |report: &ProxyReport| {
        let (_, spec) = report.own_models.iter().find(|(own, _)| own == name)?;
        Some((spec.clone(), standing(report, Kind::Model, "", 0, None)))
    };
    let (specs, proxies): (Vec<_>, Vec<_>) = picture.reports.iter().filter_map(at).unzip();
    let mut shown = said(name, "settings", specs.first()?);
    shown["proxies"] = Value::Array(proxies);
    Some(shown)
}

/// What is said of a model, wherever it is said.
fn said(name: &str, source: &str, spec: &ModelSpec) -> Value {
    json!({
        "name": name,
        "source": source,
        "aliases": spec.aliases,
        "replicas": spec.replicas,
        "fallbacks": spec.fallbacks,
        "queue": spec.queue,
        "timeouts": spec.timeouts,
    })
}

fn stamp(shown: &mut Value, entry: Option<(u64, domain::Time, domain::Time)>) {
    if let Some((revision, created_at, updated_at)) = entry {
        shown["revision"] = json!(revision);
        shown["created_at"] = json!(created_at);
        shown["updated_at"] = json!(updated_at);
    }
}

/// The revision that a proxy must have to know of that entry.
fn revision<T>(stored: &Stored<T>) -> u64 {
    stored.entry().map_or(0, |entry| entry.revision)
}

/// How an entry stands at one proxy. What a proxy that is behind says is of the revision before, and not shown.
fn standing(report: &ProxyReport, kind: Kind, name: &str, revision: u64, found: Option<&BackendReport>) -> Value {
    let is_behind = report.revision < revision;
    let because = report.passed_over(kind, name).filter(|_| !is_behind);
    let found = found.filter(|_| !is_behind);
    let state = match because {
        _ if is_behind => "behind",
        Some(_) => "passed_over",
        None => "in_force",
    };
    let mut shown = json!({"proxy": report.proxy, "state": state, "because": because});
    if kind == Kind::Backend {
        shown["healthy"] = json!(found.and_then(|backend| backend.healthy));
        if let Some(reason) = found.and_then(|backend| backend.reason.as_ref()) {
            shown["because"] = json!(reason);
        }
    }
    shown
}
