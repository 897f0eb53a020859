//! `GET /runs/{run_id}/history_bundle`

use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::runs::find::{Known, known};
use crate::runs::history::{Moment, Stats, Window, Windows, stats, timeline, window};
use crate::runs::view::WaitView;
use crate::{Api, ApiError, PlaneData};
use axum::response::Response;
use domain::{Object, RunId, RunStatus, Source, Time, WorkflowId};
use flow::State;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::runs::{Filter, Row};

/// Runs below one run that a bundle takes in.
const DESCENDANTS: u32 = 500;

#[derive(Serialize)]
struct Bundle<'a> {
    version: u32,
    generated_at: Time,
    root_run_id: &'a str,
    run: Value,
    workflow_snapshot: Value,
    input_data: Object,
    ledgers: Windows,
    timeline: Vec<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

#[derive(Serialize)]
struct Session {
    session_id: String,
    turns: Vec<Turn>,
}

#[derive(Serialize)]
struct Turn {
    run_id: String,
    workflow_id: String,
    kind: &'static str,
    status: String,
    created_at: String,
    updated_at: String,
    prompt: Option<String>,
    prompt_metadata: Value,
    attachments: [Value; 0],
    answer: Option<String>,
    answer_meta: Value,
    stats: Stats,
    artifacts: [Value; 0],
}

/// Everything that is kept of a run, for export and for clients that render it at once.
pub(super) async fn bundle(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let most = match (input.text("ledger_mode"), input.count("ledger_max_items")) {
        (Some("full"), _) | (_, 0) => u64::MAX,
        (Some("tail"), most) => most,
        (Some(_) | None, _) => return Err(ApiError::bad_request("ledger_mode must be one of tail|full")),
    };
    let run = RunId::new(input.path("run_id"));
    let known = known(data, &run).await?;
    api.settle_lists().await;
    let mut windows = vec![window(data, &run, most).await?];
    if input.flag("include_subruns") {
        for row in api.parts.runs.descendants(&data.plane, &run, DESCENDANTS).await? {
            windows.push(window(data, &RunId::new(row.run_id), most).await?);
        }
    }
    let session = match input.flag("include_session") {
        true => Some(session(&api, data, &known, input.count("session_turn_limit"), most).await?),
        false => None,
    };
    let vars = known.vars().iter().filter(|(key, _)| !key.starts_with('_'));
    Ok(ok(&Bundle {
        version: 1,
        generated_at: now(),
        root_run_id: run.as_str(),
        run: head(&known),
        workflow_snapshot: snapshot(data, &run, &known).await,
        input_data: vars.map(|(key, value)| (key.clone(), value.clone())).collect(),
        timeline: timeline(&windows),
        ledgers: Windows(windows),
        session,
    }))
}

fn head(known: &Known) -> Value {
    match known {
        Known::Begun(head) => of_state(&head.state),
        Known::Accepted(start) => of_state(&flow::start(start, "")),
    }
}

fn of_state(state: &State) -> Value {
    json!({
        "run_id": state.run_id,
        "workflow_id": state.workflow_id,
        "status": state.status,
        "current_node": state.current_node,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "actor_id": state.actor_id,
        "session_id": state.session_id,
        "parent_run_id": state.parent_run_id,
        "error": state.error,
        "waiting": state.waiting.as_ref().map(WaitView::new),
    })
}

/// The flow that the run executes, by hash; null when it cannot be had any more.
async fn snapshot(data: &PlaneData, run: &RunId, known: &Known) -> Value {
    let Some(document) = document(data, known.source(), known.workflow()).await else {
        return Value::Null;
    };
    let created_at = match known {
        Known::Begun(head) => head.state.created_at,
        Known::Accepted(start) => start.created_at,
    };
    let mut artifact = hex(&[run.as_str().as_bytes(), b"\0", document.as_bytes()]);
    artifact.truncate(32);
    json!({
        "workflow_id": known.workflow(),
        "format": "visualflow_json",
        "sha256": hex(&[document.as_bytes()]),
        "artifact_id": artifact,
        "created_at": created_at,
    })
}

async fn document(data: &PlaneData, source: &Source, workflow: &WorkflowId) -> Option<String> {
    match source {
        Source::Inline { document } => Some(document.to_string()),
        Source::Bundle { sha256 } => {
            let loaded = data.bundles.load(sha256).await.ok()?;
            let (_, flow) = workflow.as_str().split_once(':')?;
            loaded.bundle.flow(flow).map(Value::to_string)
        }
    }
}

fn hex(parts: &[&[u8]]) -> String {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The session's root runs, oldest first.
async fn session(api: &Api, data: &PlaneData, known: &Known, turns: u64, most: u64) -> Result<Session, ApiError> {
    let session_id = match known {
        Known::Begun(head) => head.state.session_id.to_string(),
        Known::Accepted(start) => start.session_id.to_string(),
    };
    let filter = Filter {
        limit: u32::try_from(turns).unwrap_or(200),
        session_id: Some(session_id.clone()),
        root_only: true,
        include_drafts: true,
        ..Filter::default()
    };
    let mut rows = api.parts.runs.list(&data.plane, &filter).await?;
    rows.sort_by(|one, other| one.created_at.cmp(&other.created_at));
    let mut turns = Vec::with_capacity(rows.len());
    for row in rows {
        turns.push(turn(data, row, most).await?);
    }
    Ok(Session { session_id, turns })
}

async fn turn(data: &PlaneData, row: Row, most: u64) -> Result<Turn, ApiError> {
    let run = RunId::new(row.run_id.as_str());
    let state = data.ledger.head(&run).await?.map(|head| head.state);
    let window: Window = window(data, &run, most).await?;
    let texts = |keys: &[&str], object: &dyn Fn(&str) -> Option<Value>| {
        keys.iter().find_map(|key| object(key)?.as_str().map(str::to_owned))
    };
    let prompt = state
        .as_ref()
        .and_then(|state| texts(&["prompt", "message", "task", "query", "input"], &|key| state.vars.get(key).cloned()));
    let answer = state.as_ref().filter(|state| state.status == RunStatus::Completed).and_then(|state| {
        let output = state.output.as_ref()?;
        texts(&["response", "answer", "message", "text", "content", "result"], &|key| output.get(key).cloned())
    });
    Ok(Turn {
        run_id: row.run_id,
        workflow_id: row.workflow_id,
        kind: "run",
        status: row.status,
        created_at: row.created_at,
        updated_at: row.updated_at,
        prompt,
        prompt_metadata: Value::Null,
        attachments: [],
        answer,
        answer_meta: Value::Null,
        stats: stats(&window),
        artifacts: [],
    })
}
