//! `/bundles`: listing, reading, installing and removing.

use crate::api::{PlaneData, now};
use crate::bundles::scan::{Report, reload_error, remove_files, scan};
use crate::bundles::view::{FlowDocument, FlowHead, FlowInputs, Listing, detail, list as items};
use crate::error::ok;
use crate::input::Input;
use crate::runs::resolve::{installed, only_id};
use crate::{Api, ApiError};
use axum::response::Response;
use domain::BundleRef;
use flow::bundle::{input_schema, split_reference};
use serde_json::{Value, json};
use std::sync::Arc;
use store::bundles::{InstallError, Installed, Loaded, Origin};

/// `GET /bundles`
pub(super) async fn list(api: Api, input: Input) -> Result<Response, ApiError> {
    let snapshot = api.plane(&input.principal).bundles.snapshot();
    let listing = Listing {
        all_versions: input.flag("all_versions"),
        include_drafts: input.flag("include_drafts"),
        include_deprecated: input.flag("include_deprecated"),
    };
    Ok(ok(&json!({"items": items(&snapshot, listing), "default_bundle_id": only_id(&snapshot)})))
}

/// `GET /bundles/{bundle_id}`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let bundle = named(data, &input)?;
    let loaded = load(data, &bundle).await?;
    Ok(ok(&detail(&data.bundles.snapshot(), &loaded.bundle)))
}

/// `GET /bundles/{bundle_id}/flows/{flow_id}`
pub(super) async fn flow(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let bundle = named(data, &input)?;
    let flow = flow_name(&bundle, input.path("flow_id"))?;
    answer_flow(data, &bundle, &flow).await
}

/// `GET /bundles/{bundle_id}/flows/{flow_id}/input_schema`
pub(super) async fn inputs(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let bundle = named(data, &input)?;
    let flow = flow_name(&bundle, input.path("flow_id"))?;
    let loaded = load(data, &bundle).await?;
    let schema = input_schema(document(&loaded, &bundle, &flow)?);
    Ok(ok(&FlowInputs { head: FlowHead::new(&bundle, &flow), version: 1, schema }))
}

/// The answer about one flow, also of `/workflows/{workflow_id}/flow`.
pub(super) async fn answer_flow(data: &PlaneData, bundle: &Installed, flow: &str) -> Result<Response, ApiError> {
    let loaded = load(data, bundle).await?;
    let document = document(&loaded, bundle, flow)?;
    Ok(ok(&FlowDocument { head: FlowHead::new(bundle, flow), flow: document }))
}

/// `POST /bundles/upload`
pub(super) async fn upload(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let bytes = input.form.file("file").ok_or_else(|| ApiError::bad_request("file is required"))?;
    let installed = data.bundles.install(bytes, Origin::Upload, input.flag("overwrite"), now()).await?;
    let manifest = &installed.manifest;
    Ok(ok(&json!({
        "ok": true,
        "bundle_id": installed.reference.id,
        "bundle_version": installed.reference.version,
        "bundle_ref": installed.reference.to_string(),
        "sha256": installed.sha256,
        "default_entrypoint": manifest.default_entrypoint,
        "entrypoints": manifest.entrypoints,
        "gateway_reloaded": input.flag("reload"),
        "gateway_reload_error": Value::Null,
    })))
}

/// `POST /bundles/reload`
pub(super) async fn reload(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let scanned = scan(&data.bundles, &api.config.flows_dir).await;
    let scanned = scanned?;
    if !scanned.broken.is_empty() {
        let broken = scanned.broken.join("; ");
        return Err(ApiError::bad_request(format!("Failed reloading bundles: {broken}")));
    }
    let snapshot = data.bundles.snapshot();
    let mut ids: Vec<&str> = snapshot.bundles().map(|bundle| bundle.reference.id.as_str()).collect();
    ids.dedup();
    Ok(ok(&json!({"ok": true, "bundle_ids": ids, "count": ids.len()})))
}

/// `DELETE /bundles/{bundle_id}`
pub(super) async fn remove(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let (id, version) = reference(&input)?;
    let snapshot = data.bundles.snapshot();
    let wanted = |bundle: &&Arc<Installed>| version.as_ref().is_none_or(|version| bundle.reference.version == *version);
    let removed: Vec<Arc<Installed>> = snapshot.versions(&id).filter(wanted).cloned().collect();
    let shown = version.as_ref().map_or_else(|| id.clone(), |version| BundleRef::new(&id, version).to_string());
    if removed.is_empty() {
        return Err(ApiError::not_found(format!("Bundle '{shown}' not found")));
    }
    let mut problem = None;
    for bundle in &removed {
        if bundle.origin == Origin::Directory {
            problem = problem.or(remove_files(&api.config.flows_dir, &bundle.reference).await);
        }
        data.bundles.remove(&bundle.reference).await?;
    }
    let reload = input.flag("reload");
    Ok(ok(&json!({
        "ok": true,
        "bundle_ref": shown,
        "removed": removed.len(),
        "gateway_reloaded": reload && problem.is_none(),
        "gateway_reload_error": problem,
    })))
}

/// The bundle and version that path and query name together.
fn reference(input: &Input) -> Result<(String, Option<String>), ApiError> {
    let (id, in_path) = split_reference(input.path("bundle_id"));
    match (in_path, input.word("bundle_version")) {
        (Some(first), Some(second)) if first != second => {
            Err(ApiError::bad_request(format!("bundle_version '{second}' conflicts with '{id}@{first}'")))
        }
        (first, second) => Ok((id.to_owned(), first.or(second).map(str::to_owned))),
    }
}

fn named(data: &PlaneData, input: &Input) -> Result<Arc<Installed>, ApiError> {
    let (id, version) = reference(input)?;
    installed(&data.bundles.snapshot(), &id, version.as_deref())
}

/// A flow id may carry `bundle:` or `bundle@version:`, which must then be this bundle.
fn flow_name(bundle: &Installed, given: &str) -> Result<String, ApiError> {
    let Some((prefix, flow)) = given.split_once(':') else {
        return Ok(given.to_owned());
    };
    let (id, version) = split_reference(prefix);
    let fits = id == bundle.reference.id && version.is_none_or(|version| version == bundle.reference.version);
    if fits {
        return Ok(flow.to_owned());
    }
    Err(ApiError::bad_request(format!("flow_id '{given}' does not belong to bundle '{}'", bundle.reference)))
}

async fn load(data: &PlaneData, bundle: &Installed) -> Result<Arc<Loaded>, ApiError> {
    Ok(data.bundles.load(&bundle.sha256).await?)
}

fn document<'a>(loaded: &'a Loaded, bundle: &Installed, flow: &str) -> Result<&'a Value, ApiError> {
    let missing = || ApiError::not_found(format!("Flow '{flow}' not found in bundle '{}'", bundle.reference));
    loaded.bundle.flow(flow).ok_or_else(missing)
}

/// What a start of the service reports of its first scan.
pub(crate) fn report(scanned: &Result<Report, InstallError>) {
    if let Some(problem) = reload_error(scanned) {
        tracing::error!(problem, "not every bundle of the flows directory is installed");
    }
    if let Ok(Report { installed, removed, .. }) = scanned {
        tracing::info!(installed = installed.len(), removed = removed.len(), "the flows directory was scanned");
    }
}
