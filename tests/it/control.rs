//! The GPU control plane's contract over real HTTP: a service, its jobs, and what becomes of them.

use crate::flows::{gateway, keys};
use axum::Router;
use axum::extract::{Json, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Builder, Client, Gateway, SOON, until};
use tokio::sync::watch;

/// A service that answers with what it was sent, fails when it is told to, and holds on until it is let go.
pub(crate) struct Worker {
    url: String,
    pub(crate) go: watch::Sender<bool>,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "a test's own service ends with the test")]
    async fn start() -> Self {
        let (go, held) = watch::channel(false);
        let routes =
            Router::new().route("/health", get(async || "ok")).route("/process", post(process)).with_state(held);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, go }
    }
}

async fn process(State(mut held): State<watch::Receiver<bool>>, Json(payload): Json<Value>) -> Response {
    if payload["fail"] == true {
        return (StatusCode::INTERNAL_SERVER_ERROR, "no").into_response();
    }
    if payload["hold"] == true {
        held.wait_for(|go| *go).await.unwrap();
    }
    Json(json!({"echo": payload})).into_response()
}

pub(crate) async fn world() -> (Gateway, Worker) {
    world_of(gateway()).await
}

/// A gateway, configured so far, and a healthy service `echo` of the type `echo-type`.
pub(crate) async fn world_of(builder: Builder) -> (Gateway, Worker) {
    let gateway = builder.env("GANTRY_SERVICE_PRIVATE_ADDRESSES", "true").start().await;
    let worker = Worker::start().await;
    let body = json!({"name": "echo", "url": worker.url, "type": "echo-type"});
    let record = ask(&gateway.client, Method::POST, "//services/register", Some(&body)).await.good();
    assert_eq!(
        (&record["name"], &record["health_endpoint"], &record["vram_gb"]),
        (&json!("echo"), &json!("/health"), &json!(0.0))
    );
    let client = &gateway.client;
    until("the service is healthy", SOON, async || {
        let found = client.get("//services/echo").await;
        if found.json()["healthy"] == true { Ok(()) } else { Err(found.text) }
    })
    .await;
    (gateway, worker)
}

async fn ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> testkit::Answer {
    let request = client.request(method, path);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    Client::send(request).await.unwrap()
}

pub(crate) async fn submit(client: &Client, body: &Value) -> String {
    let answer = client.post("//queue/submit", body).await.good();
    assert_eq!(keys(&answer)[..3], ["job_id", "position", "estimated_wait"]);
    assert!(answer["position"].is_u64(), "{answer}");
    answer["job_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn until_status(client: &Client, job: &str, status: &str) -> Value {
    until(&format!("job {job} is {status}"), SOON, async || {
        let found = client.get(&format!("//queue/{job}")).await.good();
        if found["status"] == status { Ok(found) } else { Err(found.to_string()) }
    })
    .await
}

/// The contract's columns of a job, in their order.
const JOB: [&str; 19] = [
    "id",
    "service_type",
    "service_name",
    "priority",
    "status",
    "payload",
    "callback_url",
    "result",
    "created_at",
    "started_at",
    "completed_at",
    "paused_at",
    "error",
    "ttl_seconds",
    "attempts",
    "max_attempts",
    "paused_by_job_id",
    "progress_snapshot",
    "preempt_count",
];

#[tokio::test]
async fn a_job_is_done_and_shown_in_the_contracts_columns() {
    let (gateway, _worker) = world().await;
    let client = &gateway.client;
    let id = submit(client, &json!({"service_type": "echo-type", "payload": {"x": 1}})).await;
    let done = client.get(&format!("//queue/{id}?wait_s=20")).await.good();
    assert_eq!(keys(&done)[..19], JOB);
    assert_eq!(
        (&done["status"], &done["service_name"], &done["attempts"]),
        (&json!("completed"), &json!("echo"), &json!(1))
    );
    assert_eq!(done["payload"], r#"{"x":1}"#);
    assert_eq!(done["result"], r#"{"echo":{"x":1}}"#);
    assert!(done.get("position").is_none() && done["error"].is_null());
    let cancelled = ask(client, Method::DELETE, &format!("//queue/{id}"), None).await;
    assert_eq!(cancelled.refusal(), (409, "Job is already completed".to_owned()));
    let pushed = client.post(&format!("//queue/{id}/progress"), &json!({"pct": 1})).await;
    assert_eq!(pushed.refusal(), (409, "Job is completed, not running".to_owned()));
    let stats = client.get("//queue/stats").await.good();
    assert_eq!(keys(&stats)[..4], ["total_queued", "total_running", "by_type", "by_priority"]);
    assert_eq!((&stats["total_queued"], &stats["total_running"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn what_is_not_there_is_a_404_in_the_contracts_words() {
    let (gateway, _worker) = world().await;
    let client = &gateway.client;
    for (method, path, words) in [
        (Method::GET, "//queue/nope", "Job not found: nope"),
        (Method::DELETE, "//queue/nope", "Job not found: nope"),
        (Method::GET, "//queue/nope/progress", "Job not found: nope"),
        (Method::GET, "//services/nope", "Unknown service: nope"),
        (Method::DELETE, "//services/nope", "Unknown service: nope"),
        (Method::POST, "//services/nope/enable", "Unknown service: nope"),
        (Method::POST, "//services/nope/start", "Unknown service: nope"),
        (Method::POST, "//preempt/release/nope", "Unknown service: nope"),
        (Method::GET, "//preempt/check/nope", "Unknown service: nope"),
    ] {
        let answer = ask(client, method, path, None).await;
        assert_eq!(answer.refusal(), (404, words.to_owned()), "{path}");
    }
    let twice =
        client.post("//services/register", &json!({"name": "echo", "container": "cc", "port": 1, "type": "t"})).await;
    assert_eq!(twice.refusal(), (409, "Service 'echo' already exists".to_owned()));
    for (body, refusal) in [
        (json!({}), (400, "service_name is required")),
        (json!({"service_name": "echo"}), (400, "preemptor_job_id is required")),
        (json!({"service_name": "nope"}), (404, "Unknown service: nope")),
        (json!({"service_name": "echo", "preemptor_job_id": "x"}), (404, "Preemptor job not found: x")),
    ] {
        let answer = client.post("//preempt/execute", &body).await;
        assert_eq!(answer.refusal(), (refusal.0, refusal.1.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_running_job_is_cancelled_only_when_that_is_asked_for_and_a_waiting_one_says_why() {
    let (gateway, worker) = world().await;
    let client = &gateway.client;
    let held = submit(client, &json!({"service_type": "echo-type", "payload": {"hold": true}})).await;
    until_status(client, &held, "running").await;
    let waiting = submit(client, &json!({"service_type": "echo-type", "payload": {"n": 2}, "priority": 4})).await;
    let explained = client.get(&format!("//queue/{waiting}/explain")).await.good();
    assert!(explained["text"].as_str().is_some_and(|text| !text.is_empty()), "{explained}");
    assert_eq!(explained["waiting"]["position"], 1, "{explained}");
    let changed = ask(client, Method::PUT, &format!("//queue/{waiting}/priority"), Some(&json!({"priority": 9}))).await;
    assert_eq!(changed.good()["priority"], 9);
    let busy = client.get("//preempt/check/echo").await.good();
    assert_eq!((&busy["preemptable"], &busy["active_job_id"]), (&json!(true), &json!(held)));
    assert_eq!(busy["highest_queued"], json!({"job_id": waiting, "priority": 9, "service_type": "echo-type"}));
    let service = client.get("//services/echo").await.good();
    assert_eq!((&service["scheduler_status"], &service["active_job_id"]), (&json!("busy"), &json!(held)));
    let available = client.get("//available/echo-type").await.good();
    assert_eq!((&available["queue_depth"], &available["recommendation"]), (&json!(1), &json!("queue")));
    let kept = ask(client, Method::DELETE, "//services/echo", None).await;
    assert_eq!((kept.status, &kept.json()["detail"]["error"]), (409, &json!("service_has_active_jobs")));
    let refused = ask(client, Method::DELETE, &format!("//queue/{held}"), None).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let cancelled = ask(client, Method::DELETE, &format!("//queue/{held}?running=true"), None).await.good();
    assert_eq!(cancelled["cancelled"], true);
    until_status(client, &held, "cancelled").await;
    until_status(client, &waiting, "completed").await;
    worker.go.send_replace(true);
}

#[tokio::test]
async fn jobs_are_listed_by_filter_and_page_and_a_failed_one_says_why() {
    let (gateway, _worker) = world().await;
    let client = &gateway.client;
    let failing = json!({"service_type": "echo-type", "payload": {"fail": true}, "max_attempts": 1});
    let failed = submit(client, &failing).await;
    let shown = until_status(client, &failed, "failed").await;
    assert!(shown["error"].as_str().is_some_and(|error| error.contains("500")), "{shown}");
    let jobs: Vec<Value> = (0..5).map(|n| json!({"service_type": "echo-type", "payload": {"n": n + 1}})).collect();
    let batch = client.post("//queue/batch", &json!({"jobs": jobs})).await.good();
    assert_eq!(batch["accepted"], 5);
    for job in batch["jobs"].as_array().unwrap() {
        until_status(client, job["job_id"].as_str().unwrap(), "completed").await;
    }
    let only = client.get("//queue?status=failed").await.good();
    assert_eq!(only["jobs"].as_array().map(Vec::len), Some(1));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("//queue?limit=2{cursor}")).await.good();
        seen.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 6);
    assert_eq!(seen.last(), Some(&failed));
}

#[tokio::test]
async fn a_services_switches_and_filters_do_what_they_say() {
    let (gateway, _worker) = world().await;
    let client = &gateway.client;
    let body = json!({"name": "huge", "container": "huge-1", "port": 19003, "type": "llm", "vram_gb": 9999, "zzz": 1});
    client.post("//services/register", &body).await.good();
    let listed = async |query: &str| {
        let found = client.get(&format!("//services{query}")).await.good();
        keys(&found["services"]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["echo", "huge"]);
    assert_eq!(listed("?type=llm").await, ["huge"]);
    let off = client.post("//services/huge/disable", &json!({})).await.good();
    assert_eq!((&off["enabled"], off.get("zzz")), (&json!(false), None));
    assert_eq!(listed("?enabled=true").await, ["echo"]);
    assert_eq!(listed("?enabled=false").await, ["huge"]);
    let changed =
        ask(client, Method::PUT, "//services/huge", Some(&json!({"description": "x", "name": "other"}))).await.good();
    assert_eq!(
        (&changed["description"], &changed["name"], &changed["enabled"]),
        (&json!("x"), &json!("huge"), &json!(false))
    );
    let null = ask(client, Method::PUT, "//services/huge", Some(&json!({"port": null}))).await;
    assert_eq!(null.status, 422, "{}", null.text);
    let gone = ask(client, Method::DELETE, "//services/huge", None).await.good();
    assert_eq!(gone, json!({"deleted": "huge"}));
    assert_eq!(listed("").await, ["echo"]);
}

#[tokio::test]
async fn a_jobs_events_are_told_until_its_end() {
    let (gateway, worker) = world().await;
    let client = &gateway.client;
    let held = submit(client, &json!({"service_type": "echo-type", "payload": {"hold": true}})).await;
    let path = format!("//queue/{held}/events");
    let stream = async { Client::send(client.request(Method::GET, &path)).await.unwrap() };
    let release = async {
        until_status(client, &held, "running").await;
        worker.go.send_replace(true);
    };
    let (told, ()) = tokio::join!(stream, release);
    assert!(told.text.starts_with("event: job\n"), "{}", told.text);
    assert!(told.text.contains("\nevent: job_completed\n"), "{}", told.text);
    let end = format!("event: done\ndata: {{\"job_id\":\"{held}\",\"status\":\"completed\"}}\n\n");
    assert!(told.text.ends_with(&end), "{}", told.text);
}
