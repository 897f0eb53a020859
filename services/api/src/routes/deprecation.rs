//! Marking entrypoints as not to be started, and taking the mark back.

use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::Object;
use flow::bundle::split_reference;
use serde_json::{Value, json};
use store::bundles::{Deprecation, Snapshot};

const WHOLE: &str = "*";

/// `POST /bundles/{bundle_id}/deprecate`
pub(super) async fn deprecate(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let (bundle_id, flow_id) = target(&data.bundles.snapshot(), &input)?;
    let reason = input.word("reason").map(str::to_owned);
    let mark = Deprecation { bundle_id, flow_id, deprecated_at: now(), reason };
    data.bundles.deprecate(&mark).await?;
    let mut answer = Object::new();
    answer.insert("ok".to_owned(), Value::Bool(true));
    answer.insert("bundle_id".to_owned(), mark.bundle_id.into());
    answer.insert("flow_id".to_owned(), mark.flow_id.into());
    answer.insert("deprecated_at".to_owned(), mark.deprecated_at.rfc3339().into());
    if let Some(reason) = mark.reason {
        answer.insert("reason".to_owned(), reason.into());
    }
    Ok(ok(&answer))
}

/// `POST /bundles/{bundle_id}/undeprecate`
pub(super) async fn undeprecate(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let (bundle_id, flow_id) = target(&data.bundles.snapshot(), &input)?;
    let removed = data.bundles.undeprecate(&bundle_id, &flow_id).await?;
    Ok(ok(&json!({"ok": true, "bundle_id": bundle_id, "flow_id": flow_id, "removed": removed})))
}

fn target(snapshot: &Snapshot, input: &Input) -> Result<(String, String), ApiError> {
    let (id, _) = split_reference(input.path("bundle_id"));
    if snapshot.versions(id).next().is_none() {
        return Err(ApiError::not_found(format!("Bundle '{id}' not found")));
    }
    let flow = input.word("flow_id").unwrap_or(WHOLE);
    let has = |flow: &str| {
        snapshot.versions(id).any(|bundle| bundle.manifest.entrypoints.iter().any(|entry| entry.flow_id == flow))
    };
    if flow != WHOLE && !has(flow) {
        return Err(ApiError::not_found(format!("Entrypoint '{flow}' not found in bundle '{id}'")));
    }
    Ok((id.to_owned(), flow.to_owned()))
}
