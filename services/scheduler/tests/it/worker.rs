//! A service as the contract has it, that does what its payload says and writes down what it was asked.

use crate::world::SOON;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// One call that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) job: String,
    pub(crate) attempt: u32,
    pub(crate) deadline: String,
    pub(crate) resume: Option<String>,
    pub(crate) resume_progress: Option<String>,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) stops: Mutex<Vec<Value>>,
    pub(crate) now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    /// Lets calls with `{"wait": true}` go on.
    pub(crate) go: Notify,
    /// Jobs that are at work.
    active: Mutex<Vec<String>>,
    /// Jobs that were told to stop.
    stopped: Mutex<Vec<String>>,
    /// Rings when either changes.
    changed: Notify,
    pub(crate) sick: AtomicBool,
    /// Whether it says late that a job has stopped.
    pub(crate) slow_to_say_so: AtomicBool,
    /// Whether it reads a call only once it was told to stop a job for the first time.
    pub(crate) reads_late: AtomicBool,
    pub(crate) health_checks: AtomicUsize,
}

/// Counts a call while it is at work, also if its caller hangs up.
struct AtWork(Arc<Seen>, String);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        self.0.active.lock().unwrap().retain(|job| *job != self.1);
        self.0.changed.notify_waiters();
    }
}

/// It has a runtime of its own, so that its end closes its sockets, as the end of a process does.
pub(crate) struct Worker {
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    runtime: Option<Runtime>,
}

impl Worker {
    pub(crate) async fn start() -> Self {
        Self::start_at(0, Arc::default()).await
    }

    pub(crate) async fn start_at(port: u16, seen: Arc<Seen>) -> Self {
        let app = axum::Router::new()
            .route("/health", get(health))
            .route("/progress", get(async || axum::Json(json!({"step": 1, "total": 2}))))
            .route("/stop", post(stop))
            .fallback(work)
            .with_state(seen.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = listen(port).await;
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        let port = told.await.unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), port, seen, runtime: Some(runtime) }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.seen.calls.lock().unwrap().clone()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }

    pub(crate) fn at_work(&self) -> usize {
        self.seen.now.load(Ordering::SeqCst)
    }

    /// Waits until so many calls have arrived and are at work: a job counts as running from the moment it is sent.
    pub(crate) async fn until_at_work(&self, count: usize) {
        let deadline = Instant::now() + SOON;
        while self.at_work() != count {
            assert!(Instant::now() < deadline, "{} calls are at work", self.at_work());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn release(&self) {
        self.seen.release();
    }
}

impl Seen {
    async fn told_to_stop(&self, job: &String) {
        loop {
            let changed = self.changed.notified();
            if self.stopped.lock().unwrap().contains(job) {
                return;
            }
            changed.await;
        }
    }

    /// Lets everybody who waits go on, and one who comes after.
    pub(crate) fn release(&self) {
        self.go.notify_waiters();
        self.go.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The worker that had the port before may not be quite gone.
async fn listen(port: u16) -> TcpListener {
    let deadline = Instant::now() + SOON;
    loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "port {port}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn health(State(seen): State<Arc<Seen>>) -> StatusCode {
    seen.health_checks.fetch_add(1, Ordering::SeqCst);
    if seen.sick.load(Ordering::SeqCst) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// Stops a job, waits until it has stopped, and leaves what it would resume from.
async fn stop(State(seen): State<Arc<Seen>>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let job = asked["job_id"].as_str().unwrap().to_owned();
    seen.stops.lock().unwrap().push(asked);
    seen.stopped.lock().unwrap().push(job.clone());
    seen.changed.notify_waiters();
    if seen.slow_to_say_so.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    loop {
        let changed = seen.changed.notified();
        if !seen.active.lock().unwrap().contains(&job) {
            break;
        }
        changed.await;
    }
    seen.stopped.lock().unwrap().retain(|stopped| *stopped != job);
    axum::Json(json!({"snapshot": {"step": 7, "word": "zwölf"}})).into_response()
}

async fn work(State(seen): State<Arc<Seen>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    while seen.reads_late.load(Ordering::SeqCst) {
        let changed = seen.changed.notified();
        if !seen.stops.lock().unwrap().is_empty() {
            break;
        }
        changed.await;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let call = Call {
        path: uri.path().to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        job: text("gantry-job-id").unwrap_or_default(),
        attempt: text("gantry-attempt").and_then(|text| text.parse().ok()).unwrap_or_default(),
        deadline: text("gantry-deadline").unwrap_or_default(),
        resume: text("gantry-resume-snapshot"),
        resume_progress: text("gantry-resume-progress"),
    };
    let (attempt, job) = (call.attempt, call.job.clone());
    seen.active.lock().unwrap().push(job.clone());
    let at_once = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most.fetch_max(at_once, Ordering::SeqCst);
    let _at_work = AtWork(seen.clone(), job.clone());
    seen.calls.lock().unwrap().push(call);
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    if asked["wait"] == true {
        tokio::select! {
            () = seen.go.notified() => {}
            () = seen.told_to_stop(&job) => if asked["when_stopped"] != "answer" {
                return (StatusCode::CONFLICT, "stopped").into_response();
            },
        }
    }
    if let Some(ms) = asked["sleep_ms"].as_u64() {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = seen.told_to_stop(&job) => return (StatusCode::CONFLICT, "stopped").into_response(),
        }
    }
    if asked["fails"].as_u64().is_some_and(|times| u64::from(attempt) <= times) {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the GPU is on fire").into_response();
    }
    if asked["says"] == "nonsense" {
        return "no json".into_response();
    }
    axum::Json(json!({"echo": asked, "attempt": attempt})).into_response()
}
