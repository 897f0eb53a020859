//! A broker, schedulers that can be killed, and a client.

use bus::control::{Control, Submitted};
use bus::{Bus, BusOptions, Connection, TraceContext};
use domain::Time;
use domain::control::{
    Answer, JobId, JobRequest, JobState, JobView, Notice, Order, Payload, RefusedKind, ServiceName, ServiceRecord,
    ServiceWant,
};
use nats_process::{Server, SyncInterval};
use scheduler::{Config, Parts};
use serde_json::Value;
use service::Tasks;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) bus: Bus,
    pub(crate) control: Control,
    pub(crate) config: Config,
    pub(crate) schedulers: Vec<Scheduler>,
}

/// A scheduler on a runtime of its own, so that it can be ended as a killed process ends: at once, without a word.
pub(crate) struct Scheduler {
    runtime: Option<Runtime>,
    tasks: Tasks,
}

pub(crate) fn now() -> Time {
    Time::from(jiff::Timestamp::now())
}

/// Why an order was refused, if it was.
pub(crate) fn kind(answer: &Answer) -> Option<RefusedKind> {
    let Answer::Refused(refused) = answer else { return None };
    Some(refused.kind)
}

pub(crate) fn payload(value: &Value) -> Payload {
    serde_json::from_str(&value.to_string()).unwrap()
}

pub(crate) async fn connect(server: &Server) -> Bus {
    let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Default::default() };
    bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        _ = rustls::crypto::ring::default_provider().install_default();
        let sync = SyncInterval::Every(Duration::from_secs(1));
        let server = Server::builder().durability(sync).start().await.unwrap();
        let bus = connect(&server).await;
        let mut config = Config { private_addresses: true, ..Config::default() };
        change(&mut config);
        let mut world = Self { control: bus.control(), server, bus, config, schedulers: Vec::new() };
        world.scheduler().await;
        world
    }

    /// One more scheduler.
    pub(crate) async fn scheduler(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let connection = Connection { urls: vec![self.server.url()], name: "test".to_owned(), ..Default::default() };
        let (config, tasks) = (self.config.clone(), Tasks::new());
        let inner = tasks.clone();
        let spawned = runtime.spawn(async move {
            let bus = bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
            scheduler::spawn(Parts { bus, config, check: None }, &inner);
        });
        spawned.await.unwrap();
        self.schedulers.push(Scheduler { runtime: Some(runtime), tasks });
    }

    /// Ends the first scheduler without a word: its tasks stop where they are and its sockets close.
    pub(crate) fn kill_first(&mut self) {
        drop(self.schedulers.remove(0));
    }

    /// Asks the first scheduler to stop.
    pub(crate) async fn stop_first(&mut self) {
        let first = self.schedulers.remove(0);
        first.tasks.stop(Duration::from_secs(5)).await;
    }

    pub(crate) async fn order(&self, order: Order) -> Answer {
        self.control.order(order, now(), None, SOON, &TraceContext::default()).await.unwrap()
    }

    pub(crate) async fn register(&self, name: &str, url: &str, kind: &str, change: impl FnOnce(&mut ServiceRecord)) {
        let mut record = ServiceRecord::at_url(name, url, kind, now());
        change(&mut record);
        let answer = self.order(Order::RegisterService { service: Box::new(record) }).await;
        assert!(matches!(answer, Answer::Service(_)), "{answer:?}");
        let view = self.control.service_when(&ServiceName::from(name), ServiceWant::Up, SOON).await.unwrap().unwrap();
        assert!(view.healthy, "{view:?}");
    }

    pub(crate) fn job(&self, kind: &str, body: &Value) -> JobRequest {
        JobRequest::new(self.control.new_job_id(), kind.into(), payload(body), now())
    }

    pub(crate) async fn submit(&self, request: &JobRequest) -> u64 {
        match self.control.submit(request, &TraceContext::default()).await.unwrap() {
            Submitted::Accepted { sequence, .. } => sequence,
            Submitted::Conflict => panic!("{} was submitted before", request.id),
        }
    }

    pub(crate) async fn run(&self, kind: &str, body: &Value) -> JobId {
        let request = self.job(kind, body);
        self.submit(&request).await;
        request.id
    }

    pub(crate) async fn ended(&self, job: &JobId) -> JobView {
        let view = self.control.job_ended(job, SOON).await.unwrap().unwrap();
        assert!(view.status.is_terminal(), "{view:?}");
        view
    }

    /// Waits until a job is as it is expected to be.
    pub(crate) async fn until(&self, job: &JobId, what: &str, holds: impl Fn(&JobView) -> bool) -> JobView {
        let deadline = Instant::now() + SOON;
        loop {
            let view = self.control.job_view(job, SOON).await.unwrap();
            if let Some(view) = view.as_ref().filter(|view| holds(view)) {
                return view.clone();
            }
            assert!(Instant::now() < deadline, "the job is not {what}: {view:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn until_state(&self, job: &JobId, state: JobState) -> JobView {
        self.until(job, state.as_str(), |view| view.status == state).await
    }

    /// Everything that was told up to now.
    pub(crate) async fn told(&self) -> Vec<Notice> {
        let end = self.bus.notices_end().await.unwrap();
        let mut tail = self.bus.notices_after(0);
        let mut notices = Vec::new();
        loop {
            let (sequence, more) = tail.next().await;
            notices.extend(more);
            if sequence >= end {
                return notices;
            }
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
