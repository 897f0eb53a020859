//! `GET /workflows/{workflow_id}/flow`

use super::bundles::answer_flow;
use crate::error::ok;
use crate::input::Input;
use crate::runs::find::find;
use crate::{Api, ApiError};
use axum::response::Response;
use domain::{RunId, Source, WorkflowId};
use serde_json::json;
use store::runs::Filter;

/// The flow of a workflow: a bundle's, or the one that was generated for a schedule.
pub(super) async fn flow(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let workflow = WorkflowId::new(input.path("workflow_id"));
    let missing = || ApiError::not_found(format!("Workflow '{workflow}' not found"));
    if workflow.as_str().starts_with("__catalog__") {
        return Err(ApiError::forbidden("Catalog workflows must be read through the workflow catalog"));
    }
    if workflow.as_str().starts_with(flow::schedule::PREFIX) {
        return generated(&api, &input, &workflow).await;
    }
    let bundle = data.bundles.snapshot().holder(&workflow).cloned().ok_or_else(missing)?;
    let (_, flow) = workflow.as_str().split_once(':').ok_or_else(missing)?;
    answer_flow(data, &bundle, flow).await
}

async fn generated(api: &Api, input: &Input, workflow: &WorkflowId) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    api.settle_lists().await;
    let filter =
        Filter { limit: 1, workflow_id: Some(workflow.to_string()), include_drafts: true, ..Filter::default() };
    let row = api.parts.runs.list(&data.plane, &filter).await?.into_iter().next();
    let known = match row {
        Some(row) => find(data, &RunId::new(row.run_id)).await?,
        None => None,
    };
    match known.as_ref().map(crate::runs::find::Known::source) {
        Some(Source::Inline { document }) => {
            Ok(ok(&json!({"workflow_id": workflow, "flow": document, "source": "dynamic"})))
        }
        Some(Source::Bundle { .. }) | None => Err(ApiError::not_found(format!("Workflow '{workflow}' not found"))),
    }
}
