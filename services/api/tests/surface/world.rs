//! The surface over a real broker of its own, with bundles of the contract's fixtures, and runs moved on by hand: what
//! a runner would do at its own time, a test does at the time it needs.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test's world may fail loudly"
)]

use api::{ApiConfig, Parts, Service};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bus::{Bus, BusOptions, Connection, Deliveries, TraceContext};
use domain::{InboxMessage, Object, Plane, RunId};
use http_body_util::BodyExt;
use ledger::{Append, Appended, Feed, Ledger, Outcome};
use nats_process::Server;
use secrecy::SecretString;
use serde_json::{Value, json};
use service::{Health, Tasks};
use std::io::Write;
use std::time::Duration;
use store::bundles::Bundles;
use store::runs::{Projector, Runs};
use tower::ServiceExt;
use zip::write::SimpleFileOptions;

pub(crate) const TOKEN: &str = "a-token-for-tests-1";
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) ledger: Ledger,
    pub(crate) bundles: Bundles,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) health: Health,
    pub(crate) tasks: Tasks,
    router: Router,
    bells: tokio::sync::Mutex<Deliveries>,
    _server: Server,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) headers: http::HeaderMap,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|problem| panic!("{problem}: {}", self.text))
    }

    pub(crate) fn detail(&self) -> (u16, String) {
        let detail = self.json()["detail"].clone();
        (self.status, detail.as_str().map_or_else(|| detail.to_string(), str::to_owned))
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let server = Server::builder().start().await.unwrap();
        let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Connection::default() };
        let bus = bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("flows")).unwrap();
        std::fs::write(directory.path().join("flows/fix.flow"), fix("0.1.0")).unwrap();
        let database = format!("sqlite://{}", directory.path().join("runs.sqlite").display());
        let runs = Runs::open(&database).await.unwrap();
        let (feed, tasks, health) = (Feed::default(), Tasks::new(), Health::new());
        let bundles = Bundles::new(&bus, &Plane::main());
        let parts = Parts {
            projector: Projector::new(&bus, &runs, &feed),
            bus: bus.clone(),
            runs,
            feed,
            bundles: bundles.clone(),
            health: health.clone(),
            metrics: telemetry::Metrics::detached(),
            stop: tasks.stop_token(),
        };
        let mut config = ApiConfig::below(directory.path());
        config.tokens = vec![SecretString::from(TOKEN)];
        config.listener_patience = Duration::from_millis(1);
        // No scheduler runs in this world: that is said soon.
        config.scheduler_patience = Duration::from_millis(50);
        let service = Service::start(config, parts, &tasks);
        let router = service.port([service.routes(|_| ())]);
        tokio::time::timeout(SOON, health.ready()).await.unwrap_or_else(|_| panic!("{:?}", health.readiness()));
        let ledger = Ledger::new(&bus, &Plane::main());
        let bells = tokio::sync::Mutex::new(bus.doorbells(0, 64));
        Self { bells, bus, ledger, bundles, directory, health, tasks, router, _server: server }
    }

    pub(crate) async fn open(&self, request: http::request::Builder, body: impl Into<Body>) -> Response {
        let request = request.header("authorization", format!("Bearer {TOKEN}")).body(body.into()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn open_bare(&self, request: http::request::Builder) -> Response {
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let (parts, body) = self.open(request, body).await.into_parts();
        let bytes = tokio::time::timeout(SOON, body.collect()).await.expect("the answer ends").unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), text, headers: parts.headers }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(http::Request::get(format!("/api/gateway{path}")), Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(http::Request::post(format!("/api/gateway{path}")), body.to_string()).await
    }

    pub(crate) async fn start_run(&self, body: Value) -> RunId {
        let answer = self.post("/runs/start", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        RunId::new(answer.json()["run_id"].as_str().unwrap())
    }

    /// A run of the echo flow that has ended.
    pub(crate) async fn echo_run(&self) -> RunId {
        let input = json!({"prompt": "Hello"});
        let body = json!({"bundle_id": "fix", "flow_id": "echo", "input_data": input, "session_id": "s-1"});
        let run = self.start_run(body).await;
        self.step(&run).await;
        run
    }

    /// Steps a run that never waits until it has ended.
    pub(crate) async fn run_to_end(&self, run: &RunId) {
        loop {
            self.step(run).await;
            let head = self.ledger.head(run).await.unwrap().unwrap();
            if head.state.status.is_terminal() {
                return;
            }
            let more = serde_json::to_vec(&InboxMessage::Continue).unwrap();
            let id = format!("continue-{run}-{}", head.sequence);
            self.bus.inbox(&Plane::main()).send(run, &id, &more.into(), &TraceContext::default()).await.unwrap();
        }
    }

    pub(crate) async fn upload(&self, bytes: &[u8], overwrite: bool) -> Answer {
        let mut body = Vec::new();
        write!(body, "--b\r\ncontent-disposition: form-data; name=\"overwrite\"\r\n\r\n{overwrite}\r\n--b\r\n")
            .unwrap();
        body.extend_from_slice(b"content-disposition: form-data; name=\"file\"; filename=\"x.flow\"\r\n\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let request = http::Request::post("/api/gateway/bundles/upload");
        self.send(request.header("content-type", "multipart/form-data; boundary=b"), body).await
    }

    /// Brings an accepted command into the inbox of its run, as the runner's router does.
    pub(crate) async fn route(&self, command_id: &str) {
        let logged = self.bus.commands(&Plane::main()).find(&command_id.into()).await.unwrap().unwrap();
        let run = logged.command.run_id.clone();
        let message = InboxMessage::Command { seq: logged.seq, command: Box::new(logged.command) };
        let body = serde_json::to_vec(&message).unwrap();
        let inbox = self.bus.inbox(&Plane::main());
        inbox.send(&run, &format!("command-{}", logged.seq), &body.into(), &TraceContext::default()).await.unwrap();
    }

    /// Takes in what lies in a run's inbox and appends the step, as a runner does.
    pub(crate) async fn step(&self, run: &RunId) {
        let head = self.ledger.head(run).await.unwrap();
        let cursor = head.as_ref().map_or(0, |head| head.inbox_cursor);
        let (pending, _) = self.bus.inbox(&Plane::main()).pending(run, cursor).await.unwrap();
        let reached = pending.last().map_or(cursor, |message| message.sequence);
        let mut messages: Vec<InboxMessage> =
            pending.iter().map(|message| serde_json::from_slice(&message.body).unwrap()).collect();
        let start = messages.iter().position(|message| matches!(message, InboxMessage::Start(_)));
        let start = start.map(|place| messages.remove(place));
        let sha256 = match (&head, &start) {
            (Some(head), _) => sha(&head.state.source),
            (None, Some(InboxMessage::Start(start))) => sha(&start.source),
            (None, _) => panic!("{run} has no start"),
        };
        let loaded = self.bundles.load(&sha256).await.unwrap();
        let state = match (&head, start) {
            (Some(head), _) => head.state.clone(),
            (None, Some(InboxMessage::Start(start))) => {
                flow::start(&start, loaded.library.get(&start.workflow_id).unwrap().entry())
            }
            (None, _) => panic!("{run} has no start"),
        };
        let flow = loaded.library.get(&state.workflow_id).unwrap().clone();
        let now = jiff::Timestamp::now().into();
        let world = flow::World { flow: &flow, flows: &*loaded.library, now, zone: &jiff::tz::TimeZone::UTC };
        let step = flow::step(world, state, &messages);
        let outcomes = step.outcomes.into_iter().filter_map(|(place, verdict)| match &messages[place] {
            InboxMessage::Command { command, .. } => Some(Outcome {
                command_id: command.command_id.clone(),
                outcome: domain::CommandOutcome {
                    run_id: run.clone(),
                    verdict,
                    cursor: step.state.cursor,
                    applied_at: now,
                },
            }),
            _ => None,
        });
        let records = serde_json::value::to_raw_value(&step.records).unwrap();
        let append = Append {
            previous: head.as_ref(),
            outcomes: outcomes.collect(),
            state: step.state,
            records: &records,
            effects: step.effects,
            inbox_cursor: reached,
            delivery: 1,
            doorbell: reached,
            writer: format!("test-{reached}"),
            trace: &TraceContext::default(),
        };
        assert!(matches!(self.ledger.append(append).await.unwrap(), Appended::Stored(_)));
        self.acknowledge(run, reached).await;
    }
}

impl World {
    /// Takes what a run has taken in out of its inbox.
    async fn acknowledge(&self, run: &RunId, reached: u64) {
        let mut bells = self.bells.lock().await;
        loop {
            let bell = tokio::time::timeout(SOON, bells.next()).await.expect("the inbox is delivered");
            if bell.run != *run || bell.sequence > reached {
                bell.again_in(Duration::from_millis(20)).await;
                continue;
            }
            bell.ack().await;
            if bell.sequence == reached {
                return;
            }
        }
    }
}

fn sha(source: &domain::Source) -> String {
    match source {
        domain::Source::Bundle { sha256 } => sha256.clone(),
        domain::Source::Inline { .. } => panic!("a generated flow has no bundle"),
    }
}

fn pin(id: &str, kind: &str) -> Value {
    json!({"id": id, "label": if kind == "execution" { "" } else { id }, "type": kind})
}

fn node(id: &str, kind: &str, inputs: Value, outputs: Value, more: Value) -> Value {
    let mut data = json!({"nodeType": kind, "label": id, "inputs": inputs, "outputs": outputs});
    data.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    json!({"id": id, "type": kind, "position": {"x": 0.0, "y": 0.0}, "data": data})
}

fn edge(id: &str, source: (&str, &str), target: (&str, &str)) -> Value {
    json!({"id": id, "source": source.0, "sourceHandle": source.1, "target": target.0, "targetHandle": target.1})
}

pub(crate) fn echo() -> Value {
    let outputs = json!([pin("exec-out", "execution"), pin("prompt", "string")]);
    json!({"id": "echo", "name": "echo", "nodes": [
        node("start", "on_flow_start", json!([]), outputs, json!({"pinDefaults": {"prompt": "hi"}})),
        node("end", "on_flow_end", json!([pin("exec-in", "execution"), pin("response", "string")]), json!([]), json!({})),
    ], "edges": [
        edge("e1", ("start", "exec-out"), ("end", "exec-in")),
        edge("e2", ("start", "prompt"), ("end", "response")),
    ], "entryNode": "start"})
}

fn ask() -> Value {
    let inputs = json!([pin("exec-in", "execution"), pin("prompt", "string")]);
    let outputs = json!([pin("exec-out", "execution"), pin("response", "string")]);
    json!({"id": "ask", "name": "ask", "nodes": [
        node("start", "on_flow_start", json!([]), json!([pin("exec-out", "execution")]), json!({})),
        node("ask", "ask_user", inputs, outputs, json!({"pinDefaults": {"prompt": "who are you ?"}})),
        node("end", "on_flow_end", json!([pin("exec-in", "execution"), pin("response", "string")]), json!([]), json!({})),
    ], "edges": [
        edge("e1", ("start", "exec-out"), ("ask", "exec-in")),
        edge("e2", ("ask", "exec-out"), ("end", "exec-in")),
        edge("e3", ("ask", "response"), ("end", "response")),
    ], "entryNode": "start"})
}

/// A flow that answers its user so many times.
pub(crate) fn loop_flow(passes: u32) -> Value {
    let exec = |id: &str| pin(id, "execution");
    let bounds = json!([exec("exec-in"), pin("start", "number"), pin("end", "number"), pin("step", "number")]);
    let turns = json!([exec("loop"), exec("done"), pin("index", "number")]);
    let say = json!([exec("exec-in"), pin("message", "string")]);
    json!({"id": "loop", "name": "loop", "nodes": [
        node("start", "on_flow_start", json!([]), json!([exec("exec-out")]), json!({})),
        node("for", "for", bounds, turns, json!({"pinDefaults": {"start": 0, "end": passes, "step": 1}})),
        node("say", "answer_user", say, json!([exec("exec-out")]), json!({"pinDefaults": {"message": "hello"}})),
        node("end", "on_flow_end", json!([exec("exec-in")]), json!([]), json!({})),
    ], "edges": [
        edge("e1", ("start", "exec-out"), ("for", "exec-in")),
        edge("e2", ("for", "loop"), ("say", "exec-in")),
        edge("e3", ("for", "done"), ("end", "exec-in")),
    ], "entryNode": "start"})
}

/// The fixture bundle in some version.
pub(crate) fn fix(version: &str) -> Vec<u8> {
    bundle("fix", version, &[("echo", echo()), ("ask", ask())])
}

pub(crate) fn bundle(id: &str, version: &str, flows: &[(&str, Value)]) -> Vec<u8> {
    let entrypoints: Vec<Value> = flows
        .iter()
        .map(|(flow, _)| json!({"flow_id": flow, "name": flow, "description": format!("fixture {flow}"), "interfaces": []}))
        .collect();
    let paths: Object =
        flows.iter().map(|(flow, _)| ((*flow).to_owned(), format!("flows/{flow}.json").into())).collect();
    let manifest = json!({"bundle_format_version": "1", "bundle_id": id, "bundle_version": version,
        "created_at": "2026-01-08T00:00:00+00:00", "entrypoints": entrypoints, "default_entrypoint": flows[0].0,
        "flows": paths, "artifacts": {}, "assets": {}, "metadata": {}});
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut file = |path: &str, value: &Value| {
        zip.start_file(path, SimpleFileOptions::default()).unwrap();
        zip.write_all(value.to_string().as_bytes()).unwrap();
    };
    file("manifest.json", &manifest);
    for (flow, document) in flows {
        file(&format!("flows/{flow}.json"), document);
    }
    zip.finish().unwrap().into_inner()
}
