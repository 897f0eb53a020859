//! A service as the contract has it, that does what its payload says and writes down what it was asked.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) stops: Mutex<Vec<Value>>,
    pub(crate) now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    /// Lets calls with `{"wait": true}` go on.
    pub(crate) go: Notify,
    pub(crate) sick: AtomicBool,
    pub(crate) health_checks: AtomicUsize,
}

/// Counts a call while it is at work, also if its caller hangs up.
struct AtWork(Arc<Seen>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Worker {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let app = axum::Router::new()
            .route("/health", get(health))
            .route("/progress", get(async || axum::Json(json!({"step": 1, "total": 2}))))
            .route("/stop", post(stop))
            .fallback(work)
            .with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen, task }
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

    /// Lets everybody who waits go on, and whoever comes after.
    pub(crate) fn release(&self) {
        self.seen.go.notify_waiters();
        self.seen.go.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn health(State(seen): State<Arc<Seen>>) -> StatusCode {
    seen.health_checks.fetch_add(1, Ordering::SeqCst);
    if seen.sick.load(Ordering::SeqCst) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// Stops a job and leaves what it would resume from.
async fn stop(State(seen): State<Arc<Seen>>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    seen.stops.lock().unwrap().push(asked);
    axum::Json(json!({"snapshot": {"step": 7, "word": "zwölf"}})).into_response()
}

async fn work(State(seen): State<Arc<Seen>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let call = Call {
        path: uri.path().to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        job: text("gantry-job-id").unwrap_or_default(),
        attempt: text("gantry-attempt").and_then(|text| text.parse().ok()).unwrap_or_default(),
        deadline: text("gantry-deadline").unwrap_or_default(),
        resume: text("gantry-resume-snapshot"),
    };
    let attempt = call.attempt;
    let at_once = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most.fetch_max(at_once, Ordering::SeqCst);
    let _at_work = AtWork(seen.clone());
    seen.calls.lock().unwrap().push(call);
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    if asked["wait"] == true {
        seen.go.notified().await;
    }
    if asked["fails"].as_u64().is_some_and(|times| u64::from(attempt) <= times) {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the GPU is on fire").into_response();
    }
    if asked["says"] == "nonsense" {
        return "no json".into_response();
    }
    axum::Json(json!({"echo": asked, "attempt": attempt})).into_response()
}
