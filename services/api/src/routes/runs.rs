//! `GET /runs`, `/runs/{run_id}` and `/runs/{run_id}/input_data`

use crate::error::ok;
use crate::input::Input;
use crate::runs::begin::client_vars;
use crate::runs::find::{Known, known};
use crate::runs::light::light;
use crate::runs::view::RunView;
use crate::{Api, ApiError, PlaneData};
use axum::response::Response;
use domain::{Object, RunId, RunStatus, Source};
use serde_json::{Value, json};
use store::runs::Filter;

/// `GET /runs/{run_id}`
pub(super) async fn get(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let known = known(data, &RunId::new(input.path("run_id"))).await?;
    let entry = match &known {
        Known::Begun(_) => String::new(),
        Known::Accepted(_) => entry(data, &known).await.unwrap_or_default(),
    };
    Ok(ok(&RunView::new(&known, &entry)))
}

/// The node at which a run begins.
async fn entry(data: &PlaneData, known: &Known) -> Option<String> {
    match known.source() {
        Source::Bundle { sha256 } => {
            let loaded = data.bundles.load(sha256).await.ok()?;
            loaded.library.get(known.workflow()).map(|flow| flow.entry().to_owned())
        }
        Source::Inline { document } => document.get("entryNode").and_then(Value::as_str).map(str::to_owned),
    }
}

/// `GET /runs`
pub(super) async fn list(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let status = input.word("status");
    if status.is_some_and(|status| RunStatus::parse(status).is_none()) {
        return Err(ApiError::bad_request("Invalid status (expected: running|waiting|completed|failed|cancelled)"));
    }
    let text = |name: &str| input.word(name).map(str::to_owned);
    let filter = Filter {
        limit: u32::try_from(input.count("limit")).unwrap_or(50),
        status: status.map(str::to_owned),
        workflow_id: text("workflow_id"),
        session_id: text("session_id"),
        root_only: input.flag("root_only"),
        include_drafts: input.flag("include_drafts"),
        ..Filter::default()
    };
    api.settle_lists().await;
    let rows = api.parts.runs.list(&data.plane, &filter).await?;
    let (metrics, ledger_len) = (input.flag("include_metrics"), input.flag("include_ledger_len"));
    let items: Vec<Object> = rows.iter().map(|row| light(row, metrics, ledger_len)).collect();
    Ok(ok(&json!({"items": items})))
}

/// `GET /runs/{run_id}/input_data`
pub(super) async fn input_data(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let run = RunId::new(input.path("run_id"));
    let known = known(data, &run).await?;
    let asked = Asked::of(&known);
    let pins = asked.pins(data).await;
    let given = if pins.is_empty() { client_vars(Some(asked.vars)) } else { only(asked.vars, &pins) };
    let mut answer = Object::new();
    let mut put = |key: &str, value: Value| drop(answer.insert(key.to_owned(), value));
    put("run_id", json!(run));
    put("workflow_id", json!(known.workflow()));
    put("bundle_id", json!(asked.bundle_id));
    if let Some(version) = asked.version {
        put("bundle_version", json!(version));
    }
    put("flow_id", json!(asked.flow_id));
    put("pin_ids", json!(pins));
    put("input_data", Value::Object(given));
    put("workspace", Value::Object(workspace(known.vars())));
    Ok(ok(&answer))
}

/// Which flow a run was asked to execute, and with what: for a schedule, its target.
struct Asked<'a> {
    bundle_id: Option<&'a str>,
    version: Option<&'a str>,
    flow_id: Option<&'a str>,
    vars: &'a Object,
}

impl<'a> Asked<'a> {
    fn of(known: &'a Known) -> Self {
        let vars = known.vars();
        let target =
            vars.get("_meta").and_then(|meta| meta.pointer("/schedule/target_workflow_id")).and_then(Value::as_str);
        let workflow = target.unwrap_or_else(|| known.workflow().as_str());
        let vars = target.and_then(|_| vars.get("vars")).and_then(Value::as_object).unwrap_or(vars);
        let parts = workflow.split_once(':').and_then(|(bundle, flow)| Some((bundle.split_once('@')?, flow)));
        match parts {
            Some(((id, version), flow)) => {
                Self { bundle_id: Some(id), version: Some(version), flow_id: Some(flow), vars }
            }
            None => Self { bundle_id: None, version: None, flow_id: None, vars },
        }
    }

    /// The declared inputs; none when the bundle is not installed any more.
    async fn pins(&self, data: &PlaneData) -> Vec<String> {
        let (Some(id), Some(version), Some(flow)) = (self.bundle_id, self.version, self.flow_id) else {
            return Vec::new();
        };
        let Some(bundle) = data.bundles.find(id, Some(version)) else {
            return Vec::new();
        };
        let Ok(loaded) = data.bundles.load(&bundle.sha256).await else {
            return Vec::new();
        };
        let document = loaded.bundle.flow(flow);
        document.map(|flow| flow::bundle::inputs(flow).into_iter().map(|pin| pin.id).collect()).unwrap_or_default()
    }
}

fn only(vars: &Object, pins: &[String]) -> Object {
    pins.iter().filter_map(|pin| Some((pin.clone(), vars.get(pin)?.clone()))).collect()
}

fn workspace(vars: &Object) -> Object {
    ["workspace_root", "workspace_access_mode", "workspace_allowed_paths", "workspace_ignored_paths"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), vars.get(key)?.clone())))
        .collect()
}
