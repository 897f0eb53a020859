//! The broker, the runner and what a client would send.

use bus::{Bus, BusOptions, Connection, TraceContext};
use domain::{Command, CommandKind, InboxMessage, Object, Plane, RunId, Source, StartRun, Time};
use ledger::{Head, Ledger};
use nats_process::Server;
use runner::{Config, ModelConfig, Parts};
use serde_json::Value;
use service::Tasks;
use std::time::{Duration, Instant};
use store::bundles::{Bundles, Origin};

pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) bus: Bus,
    bundles: Bundles,
    pub(crate) tasks: Tasks,
    pub(crate) plane: Plane,
}

pub(crate) fn config() -> Config {
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
    pub(crate) async fn start() -> Self {
        let bench = Self::without_runner().await;
        bench.spawn_runner(config());
        bench
    }

    /// What a runner finds when it comes late.
    pub(crate) async fn without_runner() -> Self {
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
        Self { server, bus, bundles, tasks, plane }
    }

    pub(crate) fn spawn_runner(&self, config: Config) {
        runner::spawn(Parts { bus: self.bus.clone(), bundles: self.bundles.clone(), config }, &self.tasks).unwrap();
    }

    /// Puts a message into a run's inbox as other parts of the product do.
    pub(crate) async fn send(&self, run: &RunId, id: &str, message: &InboxMessage) {
        let body = serde_json::to_vec(message).unwrap().into();
        self.bus.inbox(&self.plane).send(run, id, &body, &TraceContext::default()).await.unwrap();
    }

    pub(crate) async fn begin(&self, case: &str, run: &str, vars: Value) -> RunId {
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

    pub(crate) async fn command(&self, run: &RunId, id: &str, kind: CommandKind, payload: Value) -> u64 {
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

    pub(crate) async fn until(&self, run: &RunId, what: &str, holds: impl Fn(&Head) -> bool) -> Head {
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

    pub(crate) async fn ended(&self, run: &RunId) -> Head {
        self.until(run, "terminal", |head| head.state.status.is_terminal()).await
    }
}
