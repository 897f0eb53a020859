//! A gateway in several processes, services in real containers that do not all fit on the GPU, and careful clients.

use super::dice::Dice;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::{Cleanup, Client, Engine, Gateway, SOON, Tally, free_port, until};

/// A service with one slot, by what it does and what becomes of it when it has to let go.
pub(crate) struct Service {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) tally: Tally,
}

/// Everything that a test of kills works with.
pub(crate) struct Fleet {
    pub(crate) gateway: Gateway,
    pub(crate) engine: Engine,
    pub(crate) services: Vec<Service>,
    /// Ids of all jobs that were acknowledged.
    pub(crate) jobs: Vec<String>,
    pub(crate) takeovers: Vec<Duration>,
    pub(crate) dice: Dice,
    containers: Vec<Cleanup>,
}

impl Fleet {
    /// Three services for a GPU that has room for two of them.
    #[expect(clippy::print_stdout, reason = "a failure is repeated with its seed")]
    pub(crate) async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let seed = u64::from(std::process::id()) * 16 + u64::from(number);
        println!("seed {seed}");
        let engine = Engine::shared().await;
        let builder = Gateway::builder().apart(0).schedulers(2).host(&engine).env("GANTRY_MIN_RUNTIME_MS", "0");
        let gateway = builder.start().await;
        let dice = Dice::new(seed);
        let mut fleet = Self {
            gateway,
            engine,
            services: Vec::new(),
            jobs: Vec::new(),
            takeovers: Vec::new(),
            dice,
            containers: Vec::new(),
        };
        // Stops a job when it is told to, and takes its time for it.
        fleet.service("gentle", &["lingers=60"], json!({"vram_gb": 3, "stop_endpoint": "/stop"})).await;
        // Goes on with a job that nobody waits for: only with its container does it let go.
        fleet.service("deaf", &["deaf=yes"], json!({"vram_gb": 3})).await;
        // Needs the room of one of the others.
        fleet.service("guest", &[], json!({"vram_gb": 4})).await;
        fleet
    }

    async fn service(&mut self, kind: &'static str, words: &[&str], mut more: Value) {
        let (image, port, tally) = (self.engine.with_service().await, free_port(), Tally::start());
        let name = format!("gantry-chaos-{kind}-{}-{port}", std::process::id());
        let words = words.iter().map(|word| (*word).to_owned()).chain([tally.argument()]);
        let arguments: Vec<String> = ["serve".to_owned(), port.to_string()].into_iter().chain(words).collect();
        self.containers.push(self.engine.cleanup(&name));
        (more["type"], more["stop_grace_ms"]) = (kind.into(), 0.into());
        self.client().register_image(&name, port, &image, &arguments, &more).await;
        self.services.push(Service { kind, name, tally });
    }

    pub(crate) fn client(&self) -> Client {
        self.gateway.client.clone()
    }

    /// A job for a service, with a key by which it is the same job however often it is submitted.
    pub(crate) fn job(&mut self, kind: &str, work_ms: u64, priority: i64) -> Value {
        let key = format!("job-{}", self.dice.roll(u64::MAX));
        json!({"service_type": kind, "payload": {"work_ms": work_ms}, "priority": priority, "idempotency_key": key})
    }

    /// Waits until every job that was acknowledged has ended.
    pub(crate) async fn all_ended(&self) {
        for job in &self.jobs {
            ended(&self.client(), job).await;
        }
    }

    /// A slot that nobody gives back would show here.
    pub(crate) async fn each_service_does_one_more(&mut self) {
        for kind in ["gentle", "deaf", "guest"] {
            let job = self.job(kind, 5, 2);
            let id = submit(&self.client(), &job).await;
            self.jobs.push(id);
        }
        self.all_ended().await;
    }
}

/// Submits a job as a careful client does: with a key, and again until it is acknowledged.
pub(crate) async fn submit(client: &Client, job: &Value) -> String {
    let answer = client.insist("a submission", || client.request(Method::POST, "//queue/submit").json(job)).await;
    answer.good()["job_id"].as_str().unwrap().to_owned()
}

/// What a path answers with, once it does.
pub(crate) async fn read(client: &Client, path: &str) -> Value {
    client.insist(path, || client.request(Method::GET, path)).await.good()
}

/// Waits until a job is as wanted; failures to answer are waited out.
pub(crate) async fn until_job(client: &Client, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    until(&format!("job {id} to be {what}"), 2 * SOON, async || {
        let answer = Client::send(client.request(Method::GET, &format!("//queue/{id}"))).await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        if answer.status == 200 && holds(&answer.json()) { Ok(answer.json()) } else { Err(answer.text) }
    })
    .await
}

pub(crate) async fn ended(client: &Client, id: &str) -> Value {
    let ends = ["completed", "failed", "cancelled", "expired"];
    until_job(client, id, "ended", |job| ends.contains(&job["status"].as_str().unwrap_or_default())).await
}
