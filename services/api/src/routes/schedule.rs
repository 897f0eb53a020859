//! `POST /runs/schedule`

use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::runs::begin::{Wanted, accept, client_vars, identity, repeated};
use crate::runs::references::check_references;
use crate::runs::resolve::{refuse_deprecated, to_schedule};
use crate::runs::schedule::{plan, repetition};
use crate::{Api, ApiError};
use axum::response::Response;
use domain::{Object, RunId, Source, WorkflowId, uuid_from};
use serde_json::{Value, json};

/// Accepts a schedule: a run of a small generated flow that starts the target again and again.
pub(super) async fn schedule(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let identity = identity(data, &input, "schedule")?;
    if repeated(data, &identity).await? {
        return Ok(ok(&json!({"run_id": identity.run})));
    }
    if input.word("bundle_id").is_none() || input.word("flow_id").is_none() {
        return Err(ApiError::bad_request("bundle_id and flow_id are required"));
    }
    let now = now();
    let when = repetition(&input, now)?;
    let snapshot = data.bundles.snapshot();
    let chosen = to_schedule(&snapshot, &input)?;
    refuse_deprecated(&snapshot, &chosen)?;
    let target_vars = client_vars(input.object("input_data"));
    check_references(&api, &target_vars).await?;
    let workflow = workflow_of(&identity.run);
    let (plan, meta) = plan(&chosen, &when, input.flag("share_context"), workflow.as_str(), now);
    let source = Source::Inline { document: Box::new(flow::schedule::document(&workflow, &plan)) };
    let session = input.text("session_id").map(str::to_owned);
    let wanted = Wanted { workflow, source, vars: vars(target_vars, meta), session };
    accept(&api, data, &input, &identity, wanted).await?;
    Ok(ok(&json!({"run_id": identity.run})))
}

/// The generated workflow's id follows from the run's, so that a repeated request names the same one.
fn workflow_of(run: &RunId) -> WorkflowId {
    let id = uuid_from(&[run.as_str().as_bytes(), b"schedule"]);
    WorkflowId::new(format!("{}{id}", flow::schedule::PREFIX))
}

fn vars(target: Object, meta: Object) -> Object {
    let mut vars = Object::new();
    vars.insert("vars".to_owned(), Value::Object(target));
    vars.insert("_meta".to_owned(), json!({"schedule": meta}));
    vars
}
