//! A runner on a real broker, without anything around it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use bus::{Bus, BusOptions, Connection, TraceContext};
use domain::{Command, CommandKind, InboxMessage, Object, Plane, RunId, RunStatus, Source, StartRun, Time};
use ledger::{Head, Ledger};
use nats_process::Server;
use runner::{Config, ModelConfig, Parts};
use serde_json::{Value, json};
use service::Tasks;
use std::time::{Duration, Instant};
use store::bundles::{Bundles, Origin};

struct Bench {
    _server: Server,
    bus: Bus,
    bundles: Bundles,
    tasks: Tasks,
    plane: Plane,
}

fn config() -> Config {
    Config {
        concurrency: 16,
        slow_effects: 4,
        model: ModelConfig {
            base_url: "http://127.0.0.1:9/v1".to_owned(),
            api_key: None,
            provider: "openai-compatible".to_owned(),
            model: Some("m".to_owned()),
            timeout: Duration::from_secs(5),
        },
    }
}

impl Bench {
    async fn start() -> Self {
        let server = Server::builder().start().await.unwrap();
        let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Default::default() };
        let bus = bus::connect(&connection, BusOptions { shards: Some(2), replicas: 1 }).await.unwrap();
        let plane = Plane::main();
        let bundles = Bundles::new(&bus, &plane);
        let tasks = Tasks::new();
        let watched = bundles.clone();
        let stop = tasks.stop_token();
        tasks.critical("bundles", async move {
            tokio::select! {
                () = watched.keep_watching() => {}
                () = stop.cancelled() => {}
            }
            Ok::<(), std::convert::Infallible>(())
        });
        _ = rustls::crypto::ring::default_provider().install_default();
        runner::spawn(Parts { bus: bus.clone(), bundles: bundles.clone(), config: config() }, &tasks).unwrap();
        Self { _server: server, bus, bundles, tasks, plane }
    }

    async fn begin(&self, case: &str, run: &str, vars: Value) -> RunId {
        let path = format!("{}/../../tests/golden/cases/{case}/bundle.flow", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let now = Time::from(jiff::Timestamp::now());
        let installed = self.bundles.install(&bytes, Origin::Upload, true, now).await.unwrap();
        let run = RunId::new(run);
        let vars: Object = vars.as_object().unwrap().clone();
        let start = InboxMessage::Start(Box::new(StartRun {
            run_id: run.clone(),
            workflow_id: installed.reference.workflow("main"),
            source: Source::Bundle { sha256: installed.sha256.clone() },
            vars,
            session_id: "sess-1".into(),
            actor_id: "gateway".to_owned(),
            parent_run_id: None,
            report_to_parent: false,
            created_at: now,
            request_digest: None,
        }));
        let body = serde_json::to_vec(&start).unwrap().into();
        self.bus.inbox(&self.plane).send(&run, &format!("start-{run}"), &body, &TraceContext::default()).await.unwrap();
        run
    }

    async fn command(&self, run: &RunId, id: &str, kind: CommandKind, payload: Value) -> u64 {
        let command = Command {
            command_id: id.into(),
            run_id: run.clone(),
            kind,
            payload: payload.as_object().unwrap().clone(),
            ts: None,
            client_id: None,
            accepted_at: Time::from(jiff::Timestamp::now()),
        };
        self.bus.commands(&self.plane).accept(&command, &TraceContext::default()).await.unwrap().seq
    }

    async fn until(&self, run: &RunId, what: &str, holds: impl Fn(&Head) -> bool) -> Head {
        let ledger = Ledger::new(&self.bus, &self.plane);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let head = ledger.head(run).await.unwrap();
            if let Some(head) = head.filter(|head| holds(head)) {
                return head;
            }
            let last = ledger.head(run).await.unwrap();
            assert!(Instant::now() < deadline, "{run} is not {what}: {:?}", last.map(|head| head.state));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn ended(&self, run: &RunId) -> Head {
        self.until(run, "terminal", |head| head.state.status.is_terminal()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_run_is_stored_in_one_step() {
    let bench = Bench::start().await;
    let run = bench.begin("01-echo-answer-user", "echo", json!({"prompt": "hi"})).await;
    let head = bench.ended(&run).await;
    assert_eq!(head.state.status, RunStatus::Completed, "{:?}", head.state.error);
    assert_eq!(head.before, 0, "everything was in the first message");
    let page = Ledger::new(&bench.bus, &bench.plane).records(&run, 0, 100).await.unwrap().unwrap();
    assert_eq!(page.items.iter().map(|item| item.cursor).collect::<Vec<_>>(), (1..=page.total).collect::<Vec<_>>());
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_wakes_its_parent_and_a_person_is_answered_once() {
    let bench = Bench::start().await;
    let parent = bench.begin("11-subflow", "parent", json!({"n": 21})).await;
    let head = bench.ended(&parent).await;
    assert_eq!(head.state.output.as_ref().expect("it completed")["value"], json!(42.0));

    let asked = bench.begin("13-ask-user", "asked", json!({})).await;
    bench.until(&asked, "waiting", |head| head.state.status == RunStatus::Waiting).await;
    let wrong = bench.command(&asked, "c1", CommandKind::Resume, json!({"wait_key": "no", "payload": {"response": "x"}}));
    wrong.await;
    bench.command(&asked, "c2", CommandKind::Resume, json!({"payload": {"response": "me"}})).await;
    assert_eq!(bench.command(&asked, "c2", CommandKind::Cancel, json!({})).await, 2, "a repeated id is the first one");
    let head = bench.ended(&asked).await;
    assert_eq!(head.state.status, RunStatus::Completed);
    let outcome = bench.bus.outcomes(&bench.plane).find(&"c1".into()).await.unwrap().expect("it was settled");
    assert!(matches!(outcome.verdict, domain::Verdict::Refused { .. }), "{outcome:?}");
    bench.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_wakes_a_run_and_a_cancel_reaches_the_whole_tree() {
    let bench = Bench::start().await;
    let delayed = bench.begin("17-delay", "delayed", json!({})).await;
    assert_eq!(bench.ended(&delayed).await.state.status, RunStatus::Completed);
    let tree = bench.begin("67-cancel-tree", "tree", json!({})).await;
    let head = bench.until(&tree, "waiting", |head| head.state.status == RunStatus::Waiting).await;
    let child = head.state.children.first().expect("it has a child").run_id.clone();
    bench.until(&child, "waiting", |head| head.state.status == RunStatus::Waiting).await;
    bench.command(&tree, "cancel", CommandKind::Cancel, json!({})).await;
    assert_eq!(bench.ended(&tree).await.state.status, RunStatus::Cancelled);
    assert_eq!(bench.ended(&child).await.state.status, RunStatus::Cancelled);
    bench.tasks.stop(Duration::from_secs(5)).await;
}
