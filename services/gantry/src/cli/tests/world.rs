//! A gateway that answers as the contract says and can be told to fail, and the client in front of it.

use super::super::*;
use axum::Router;
use axum::body::Body;
use axum::extract::{Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

pub(super) const RUN: &str = "538d88fa-ab80-4f82-8318-6edfa2be41c4";
pub(super) const CHILD: &str = "8c0347f8-e2cd-4c58-b975-6887b9cd4d76";
pub(super) const TOKEN: &str = "a-token-of-some-length";

/// What the gateway was told to answer, and what it was asked.
#[derive(Default)]
pub(super) struct Script {
    pub(super) run: Value,
    pub(super) child: Value,
    pub(super) runs: Vec<Value>,
    pub(super) ledger: Vec<Value>,
    /// One body for each time a stream is opened; the connection ends behind it. None never ends.
    pub(super) streams: VecDeque<Option<String>>,
    pub(super) child_streams: VecDeque<Option<String>>,
    pub(super) outcomes: VecDeque<Value>,
    pub(super) asked: Vec<String>,
    pub(super) bodies: Vec<Value>,
}

pub(super) type Shared = Arc<Mutex<Script>>;

pub(super) struct World {
    pub(super) script: Shared,
    pub(super) url: String,
    _tasks: service::Tasks,
}

pub(super) struct Answer {
    pub(super) exit: Exit,
    pub(super) data: String,
    pub(super) remarks: String,
}

#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Carries a command line out with an environment of its own.
pub(super) async fn gantry_at(url: &str, arguments: &str, pairs: &[(&str, &str)]) -> Answer {
    let words = std::iter::once("gantry").chain(arguments.split(' '));
    let cli = Cli::try_parse_from(words).unwrap();
    let (data, remarks) = (Written::default(), Written::default());
    let always = [("GANTRY_URL", url), ("XDG_CONFIG_HOME", "/nonexistent"), ("GANTRY_DATA_DIR", "/nonexistent/data")];
    let environment = Environment::from_pairs(always.iter().chain(pairs).copied());
    let screen = Screen::of(data.clone(), remarks.clone());
    let mut session = Session { global: cli.global, environment, screen };
    let exit = execute(cli.command, &mut session).await;
    Answer { exit, data: data.text(), remarks: remarks.text() }
}

impl World {
    pub(super) async fn new(script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let routes = Router::new()
            .route("/api/health", get(|| async { Json(json!({"status": "healthy"})) }))
            .route("/api/gateway/me", get(me))
            .route("/api/gateway/bundles", get(|| async { Json(json!({"items": []})) }))
            .route("/api/gateway/runs/start", post(start))
            .route("/api/gateway/runs", get(runs))
            .route("/api/gateway/runs/{run}", get(run))
            .route("/api/gateway/runs/{run}/ledger", get(ledger))
            .route("/api/gateway/runs/{run}/ledger/stream", get(stream))
            .route("/api/gateway/commands", post(command))
            .route("/api/gateway/commands/{command}", get(outcome))
            .with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tasks = service::Tasks::new();
        tasks.request("gateway", async move { axum::serve(listener, routes).await });
        Self { script, url, _tasks: tasks }
    }

    pub(super) async fn gantry(&self, arguments: &str) -> Answer {
        gantry_at(&self.url, arguments, &[("GANTRY_TOKEN", TOKEN)]).await
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    pub(super) fn body(&self) -> Value {
        self.script.lock().unwrap().bodies.last().cloned().unwrap()
    }
}

async fn me(headers: HeaderMap) -> Response {
    if headers.get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}")) {
        Json(json!({"principal": {"user_id": "local-admin"}})).into_response()
    } else {
        (StatusCode::UNAUTHORIZED, Json(json!({"detail": "Unauthorized"}))).into_response()
    }
}

async fn start(State(script): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut script = script.lock().unwrap();
    let key = headers.get("idempotency-key").map_or("none", |key| key.to_str().unwrap());
    script.asked.push(format!("key {key}"));
    script.bodies.push(body.clone());
    if body["bundle_id"] == "nope" {
        return (StatusCode::NOT_FOUND, Json(json!({"detail": "Bundle 'nope' not found"}))).into_response();
    }
    Json(json!({"run_id": RUN})).into_response()
}

async fn runs(State(script): State<Shared>) -> Json<Value> {
    Json(json!({"items": script.lock().unwrap().runs}))
}

async fn run(State(script): State<Shared>, Path(run): Path<String>) -> Response {
    let script = script.lock().unwrap();
    match run.as_str() {
        RUN => Json(script.run.clone()).into_response(),
        CHILD => Json(script.child.clone()).into_response(),
        _ => (StatusCode::NOT_FOUND, Json(json!({"detail": format!("Run '{run}' not found")}))).into_response(),
    }
}

async fn ledger(State(script): State<Shared>, Query(query): Query<HashMap<String, usize>>) -> Json<Value> {
    let script = script.lock().unwrap();
    let items: Vec<Value> = script.ledger.iter().skip(query["after"]).take(query["limit"]).cloned().collect();
    Json(json!({"next_after": query["after"] + items.len(), "items": items}))
}

async fn stream(
    State(script): State<Shared>,
    Path(run): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut script = script.lock().unwrap();
    script.asked.push(format!("{} after {}", &run[..4], query["after"]));
    let streams = if run == CHILD { &mut script.child_streams } else { &mut script.streams };
    match streams.pop_front() {
        Some(Some(body)) => body.into_response(),
        Some(None) => Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>()).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn command(State(script): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    script.lock().unwrap().bodies.push(body);
    Json(json!({"accepted": true, "duplicate": false, "seq": 1}))
}

async fn outcome(State(script): State<Shared>) -> Json<Value> {
    let mut script = script.lock().unwrap();
    script.asked.push("outcome".to_owned());
    Json(script.outcomes.pop_front().unwrap())
}

pub(super) fn a_run(status: &str) -> Value {
    json!({"run_id": RUN, "workflow_id": "hello@1.0.0:greet", "status": status, "session_id": "s-1", "error": null,
        "created_at": "2026-11-20T23:26:44.000000+00:00", "updated_at": "2026-11-20T23:26:45.500000+00:00",
        "waiting": null, "paused": false})
}

pub(super) fn record(step: &str, status: &str, effect: Value, result: Value) -> Value {
    json!({"step_id": step, "node_id": "node", "status": status, "effect": effect, "result": result, "error": null,
        "started_at": "2026-11-20T23:26:44.100000+00:00", "ended_at": "2026-11-20T23:26:44.100400+00:00",
        "idempotency_key": null})
}

pub(super) fn three_records() -> Vec<Value> {
    let answer = json!({"type": "answer_user", "payload": {"message": "hello"}});
    vec![
        record("s1", "started", answer.clone(), Value::Null),
        record("s1", "completed", answer, json!({"message": "hello"})),
        record("s2", "completed", Value::Null, json!({"completed": true, "output": {"response": "hello"}})),
    ]
}

pub(super) fn steps(records: &[Value], first: usize) -> String {
    let numbered = records.iter().zip(first..);
    numbered
        .map(|(record, cursor)| {
            format!("id: {cursor}\nevent: step\ndata: {}\n\n", json!({"cursor": cursor, "record": record}))
        })
        .collect()
}

pub(super) const DONE: &str = "event: done\ndata: {\"status\": \"terminal\"}\n\n";

pub(super) fn ended(status: &str) -> Script {
    let records = three_records();
    let body = steps(&records, 1) + DONE;
    Script { run: a_run(status), ledger: records, streams: [Some(body)].into(), ..Script::default() }
}
