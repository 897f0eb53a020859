//! `POST /runs/start`

use crate::error::ok;
use crate::input::Input;
use crate::runs::begin::{Wanted, accept, client_vars, identity, repeated};
use crate::runs::lifecycle::{is_draft, sanitised};
use crate::runs::listeners::wait_until_listening;
use crate::runs::references::check_references;
use crate::runs::resolve::{Chosen, refuse_deprecated, to_start};
use crate::{Api, ApiError, PlaneData};
use axum::response::Response;
use domain::{Object, RunId};
use serde_json::{Value, json};

/// Accepts a run and answers with its id once its event listeners wait.
pub(super) async fn start(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let identity = identity(data, &input, "start")?;
    if Box::pin(repeated(data, &identity)).await? {
        return Ok(ok(&json!({"run_id": identity.run})));
    }
    let snapshot = data.bundles.snapshot();
    let chosen = to_start(&snapshot, &input)?;
    let lifecycle = input.object("run_lifecycle").and_then(sanitised);
    if flow::bundle::is_draft(&chosen.bundle.reference.version) && !is_draft(lifecycle.as_ref()) {
        return Err(ApiError::bad_request("draft bundle versions require run_lifecycle.purpose='draft_test'"));
    }
    refuse_deprecated(&snapshot, &chosen)?;
    let vars = vars(&input, lifecycle);
    Box::pin(check_references(&api, &vars)).await?;
    // The flow is read before the run is accepted, so that a run that was accepted can be executed.
    let listeners = listeners(data, &chosen, &identity.run).await?;
    let session = input.text("session_id").map(str::to_owned);
    let wanted = Wanted { workflow: chosen.workflow(), source: chosen.source(), vars, session };
    accept(&api, data, &input, &identity, wanted).await?;
    Box::pin(wait_until_listening(data, &listeners, api.config.listener_patience)).await;
    Ok(ok(&json!({"run_id": identity.run})))
}

fn vars(input: &Input, lifecycle: Option<Value>) -> Object {
    let mut vars = client_vars(input.object("input_data"));
    if let Some(lifecycle) = lifecycle {
        vars.insert("_run_lifecycle".to_owned(), lifecycle);
    }
    if let Some(thinking) = input.value("thinking") {
        vars.insert("_runtime".to_owned(), json!({"thinking": thinking}));
    }
    vars
}

async fn listeners(data: &PlaneData, chosen: &Chosen, run: &RunId) -> Result<Vec<RunId>, ApiError> {
    let loaded = Box::pin(data.bundles.load(&chosen.bundle.sha256)).await?;
    let listeners = loaded.library.listeners_of(&chosen.workflow());
    Ok(listeners.iter().map(|listener| flow::listener_run_id(run, &listener.node_id)).collect())
}
