//! Which installed flow a client means, and whether it may be started.

use crate::ApiError;
use crate::input::Input;
use domain::{Source, WorkflowId};
use flow::bundle::{ResolveError, StartRequest, start_target};
use std::sync::Arc;
use store::bundles::{Installed, Snapshot};

const CATALOG_PREFIX: &str = "__catalog__";

/// An installed flow.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The bundle.
    pub bundle: Arc<Installed>,
    /// The flow's id inside the bundle.
    pub flow: String,
}

impl Chosen {
    /// The workflow, with its version.
    pub fn workflow(&self) -> WorkflowId {
        self.bundle.reference.workflow(&self.flow)
    }

    /// Where the flow is kept.
    pub fn source(&self) -> Source {
        Source::Bundle { sha256: self.bundle.sha256.clone() }
    }
}

/// Refuses registries other than the caller's own.
pub fn check_scope(input: &Input) -> Result<(), ApiError> {
    match input.word("registry_scope") {
        None | Some("private") => Ok(()),
        Some("tenant_catalog" | "catalog" | "tenant") => {
            if input.word("flow_id").is_none() {
                return Err(ApiError::bad_request("catalog flow_id is required"));
            }
            let bundle = input.word("bundle_id").unwrap_or_default();
            Err(ApiError::not_found(format!("Catalog bundle '{bundle}' not found")))
        }
        Some(other) => Err(ApiError::bad_request(format!("Unsupported registry_scope: {other}"))),
    }
}

/// The flow of `runs/start`.
pub fn to_start(snapshot: &Snapshot, input: &Input) -> Result<Chosen, ApiError> {
    check_scope(input)?;
    let (bundle_id, flow_id) = (input.word("bundle_id"), input.word("flow_id"));
    refuse_internal([bundle_id, flow_id])?;
    let request = StartRequest { flow_id, bundle_id, bundle_version: input.word("bundle_version") };
    let target = start_target(&request).map_err(|error| refused("Failed to start run: ", &error))?;
    let bundle = match &target.bundle_id {
        Some(id) => installed(snapshot, id, target.version.as_deref())?,
        None => only_bundle(snapshot, target.version.as_deref())?,
    };
    let flow = target.flow.as_deref().or_else(|| bundle.manifest.default_flow()).ok_or_else(|| {
        refused("Failed to start run: ", &ResolveError::Ambiguous { bundle: bundle.reference.to_string() })
    })?;
    let chosen = Chosen { flow: flow.to_owned(), bundle };
    if !has_flow(&chosen) {
        return Err(ApiError::not_found(format!("Workflow '{}' not found", chosen.workflow())));
    }
    Ok(chosen)
}

/// The target of `runs/schedule`, which must name bundle and flow.
pub fn to_schedule(snapshot: &Snapshot, input: &Input) -> Result<Chosen, ApiError> {
    let (Some(bundle_id), Some(flow_id)) = (input.word("bundle_id"), input.word("flow_id")) else {
        return Err(ApiError::bad_request("bundle_id and flow_id are required"));
    };
    check_scope(input)?;
    refuse_internal([Some(bundle_id), Some(flow_id)])?;
    let request = StartRequest {
        flow_id: Some(flow_id),
        bundle_id: Some(bundle_id),
        bundle_version: input.word("bundle_version"),
    };
    let target = start_target(&request).map_err(|error| refused("", &error))?;
    let id = target.bundle_id.unwrap_or_default();
    let flow = target.flow.unwrap_or_default();
    let Some(bundle) = pick(snapshot, &id, target.version.as_deref()) else {
        return Err(ApiError::not_found(match target.version {
            None => format!("Bundle '{id}' has no versions loaded"),
            Some(version) => format!("Target workflow '{id}@{version}:{flow}' not found"),
        }));
    };
    let chosen = Chosen { bundle, flow };
    if !has_flow(&chosen) {
        return Err(ApiError::not_found(format!("Target workflow '{}' not found", chosen.workflow())));
    }
    Ok(chosen)
}

/// Refuses an entrypoint that is marked as not to be started.
pub fn refuse_deprecated(snapshot: &Snapshot, chosen: &Chosen) -> Result<(), ApiError> {
    let id = &chosen.bundle.reference.id;
    let Some(mark) = snapshot.deprecation(id, &chosen.flow) else {
        return Ok(());
    };
    let reason = mark.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Err(ApiError::conflict(format!("Workflow '{id}:{}' is deprecated{reason}", chosen.flow)))
}

fn refuse_internal(names: [Option<&str>; 2]) -> Result<(), ApiError> {
    if names.into_iter().flatten().any(|name| name.starts_with(CATALOG_PREFIX)) {
        return Err(ApiError::forbidden("Catalog workflows must be started through registry_scope='tenant_catalog'"));
    }
    Ok(())
}

/// A bundle by id, and by version when there is one, or a 404.
pub fn installed(snapshot: &Snapshot, id: &str, version: Option<&str>) -> Result<Arc<Installed>, ApiError> {
    pick(snapshot, id, version).ok_or_else(|| match version {
        Some(version) => ApiError::not_found(format!("Bundle '{id}@{version}' not found")),
        None => ApiError::not_found(format!("Bundle '{id}' not found")),
    })
}

fn pick(snapshot: &Snapshot, id: &str, version: Option<&str>) -> Option<Arc<Installed>> {
    match version {
        Some(version) => snapshot.bundle(id, version).cloned(),
        None => snapshot.latest(id).cloned(),
    }
}

fn only_bundle(snapshot: &Snapshot, version: Option<&str>) -> Result<Arc<Installed>, ApiError> {
    match only_id(snapshot) {
        Some(id) => installed(snapshot, &id, version),
        None => {
            let detail = "Failed to start run: bundle_id is required unless exactly one bundle is installed";
            Err(ApiError::bad_request(detail))
        }
    }
}

/// The id of the only bundle, if exactly one is installed.
pub fn only_id(snapshot: &Snapshot) -> Option<String> {
    let mut ids = snapshot.bundles().map(|bundle| &bundle.reference.id);
    let first = ids.next()?;
    ids.all(|id| id == first).then(|| first.clone())
}

fn has_flow(chosen: &Chosen) -> bool {
    chosen.bundle.manifest.flows.iter().any(|(id, _)| *id == chosen.flow)
}

fn refused(prefix: &str, error: &ResolveError) -> ApiError {
    match error {
        ResolveError::Nothing => ApiError::bad_request(error.to_string()),
        ResolveError::BundleConflict { .. } | ResolveError::VersionConflict { .. } | ResolveError::Ambiguous { .. } => {
            ApiError::bad_request(format!("{prefix}{error}"))
        }
    }
}
