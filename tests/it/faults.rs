//! What an older gateway of GPU services got wrong, seen over HTTP. All of it, with the tests that hold it, is listed in
//! `tests/tidy/faults.rs`.

use crate::control::{submit, until_status, world, world_of};
use crate::flows::gateway;
use axum::Router;
use axum::extract::{Json, State};
use axum::routing::post;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, SOON, until};
use tokio::sync::mpsc;

/// Writes of the registry that are refused, each with what is wrong with it.
fn refused() -> Vec<(Method, &'static str, Value)> {
    let change = |body: Value| (Method::PUT, "//services/echo", body);
    let add = |field: &str, value: Value| {
        let mut body = json!({"name": "new", "container": "new-1", "port": 19_001, "type": "new"});
        body[field] = value;
        (Method::POST, "//services/register", body)
    };
    vec![
        change(json!({"port": null})),
        change(json!({"port": "abc"})),
        change(json!({"vram_gb": "lots"})),
        change(json!({"vram_gb": -1})),
        change(json!({"type": null})),
        change(json!({"progress_mode": "bogus"})),
        change(json!({"health_endpoint": "@10.0.0.1:80/x"})),
        change(json!({"url": "http://user:key@example.org"})),
        add("name", json!("a/b")),
        add("name", json!("../a")),
        add("port", json!("abc")),
        add("vram_gb", json!("lots")),
        add("progress_mode", json!("bogus")),
        add("health_endpoint", json!("@10.0.0.1:80/x")),
        add("progress_endpoint", json!("//10.0.0.1/x")),
    ]
}

#[tokio::test]
async fn a_refused_write_of_the_registry_changes_nothing_and_holds_up_nobody() {
    let (gateway, _worker) = world().await;
    let client = &gateway.client;
    let before = client.get("//services/echo/record").await.good();
    let writes = async {
        for _ in 0..4 {
            for (method, path, body) in refused() {
                let answer = Client::send(client.request(method.clone(), path).json(&body)).await.unwrap();
                assert!([400, 422].contains(&answer.status), "{method} {path} {body}: {answer:?}");
            }
        }
    };
    let jobs = async {
        let mut ids = Vec::new();
        for n in 1..=40 {
            let untyped = json!({"service_type": "echo-type", "payload": {"n": n}, "priority": "high"});
            assert_eq!(client.post("//queue/submit", &untyped).await.status, 422);
            ids.push(submit(client, &json!({"service_type": "echo-type", "payload": {"n": n}})).await);
        }
        ids
    };
    let ((), ids) = tokio::join!(writes, jobs);
    assert_eq!(client.get("//services/echo/record").await.good(), before, "a refused change left something behind");
    let services = client.get("//services").await.good();
    assert_eq!(services["services"].as_object().unwrap().keys().collect::<Vec<_>>(), ["echo"], "{services}");
    assert!(client.get("//vram").await.good()["allocated_services"][0]["vram_mb"].is_f64());
    for id in &ids {
        until_status(client, id, "completed").await;
    }
    let changed = client.put("//services/echo", &json!({"description": "after"})).await.good();
    assert_eq!(changed["description"], "after");
    let last = submit(client, &json!({"service_type": "echo-type", "payload": {"last": 1}})).await;
    until_status(client, &last, "completed").await;
}

#[tokio::test]
async fn a_paused_job_is_cancelled_when_that_is_asked_for() {
    let (gateway, worker) = world_of(gateway().env("GANTRY_MIN_RUNTIME_MS", "0")).await;
    let client = &gateway.client;
    let held = |priority: i32| json!({"service_type": "echo-type", "payload": {"hold": true}, "priority": priority});
    let slow = submit(client, &held(5)).await;
    until_status(client, &slow, "running").await;
    let urgent = submit(client, &held(1)).await;
    let paused = until_status(client, &slow, "paused").await;
    assert_eq!(paused["paused_by_job_id"], json!(urgent));
    let cancelled = client.delete(&format!("//queue/{slow}")).await.good();
    assert_eq!((&cancelled["cancelled"], &cancelled["status"]), (&json!(true), &json!("cancelled")), "{cancelled}");
    until_status(client, &urgent, "running").await;
    worker.go.send_replace(true);
    until_status(client, &urgent, "completed").await;
    assert_eq!(client.get(&format!("//queue/{slow}")).await.good()["status"], "cancelled", "it came back");
}

/// A receiver of callbacks: its address, and what comes.
#[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
async fn receiver() -> (String, mpsc::Receiver<Value>) {
    let (tell, told) = mpsc::channel(16);
    let take = async |State(tell): State<mpsc::Sender<Value>>, Json(body): Json<Value>| {
        tell.send(body).await.unwrap();
    };
    let routes = Router::new().route("/done", post(take)).with_state(tell);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/done", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, told)
}

#[tokio::test]
async fn an_expired_job_is_shown_as_that_and_its_end_is_called_back() {
    let (callback, mut told) = receiver().await;
    let (gateway, _worker) = world_of(gateway().env("GANTRY_NOTIFY_ALLOW_TARGETS", "127.0.0.1")).await;
    let client = &gateway.client;
    let job =
        json!({"service_type": "nobody-does-this", "payload": {"x": 1}, "ttl_seconds": 1, "callback_url": callback});
    let id = submit(client, &job).await;
    let expired = until_status(client, &id, "expired").await;
    assert_eq!((&expired["attempts"], &expired["payload"]), (&json!(0), &json!(r#"{"x":1}"#)), "{expired}");
    assert!(expired["completed_at"].is_string(), "{expired}");
    let body = tokio::time::timeout(SOON, told.recv()).await.expect("its end is called back").unwrap();
    assert_eq!((&body["job_id"], &body["status"], &body["result"]), (&json!(id), &json!("expired"), &Value::Null));
    assert_eq!(client.get("//queue?status=expired").await.good()["jobs"][0]["id"], json!(id));
}

#[tokio::test]
async fn a_result_is_read_as_the_service_answered_it() {
    let (gateway, worker) = world().await;
    let client = &gateway.client;
    let done = submit(client, &json!({"service_type": "echo-type", "payload": {"x": [1, null]}})).await;
    until_status(client, &done, "completed").await;
    let result = client.get(&format!("//queue/{done}/result")).await;
    assert_eq!((result.good(), result.header("content-type")), (json!({"echo": {"x": [1, null]}}), "application/json"));
    let failing = json!({"service_type": "echo-type", "payload": {"fail": true}, "max_attempts": 1});
    let failed = submit(client, &failing).await;
    until_status(client, &failed, "failed").await;
    let (status, why) = client.get(&format!("//queue/{failed}/result")).await.refusal();
    assert!(status == 409 && why.starts_with("Job is failed, not completed: ") && why.contains("500"), "{why}");
    let held = submit(client, &json!({"service_type": "echo-type", "payload": {"hold": true}})).await;
    until_status(client, &held, "running").await;
    let early = client.get(&format!("//queue/{held}/result")).await.refusal();
    assert_eq!(early, (409, "Job is running, not completed".to_owned()));
    assert_eq!(client.get("//queue/nope/result").await.refusal(), (404, "Job not found: nope".to_owned()));
    worker.go.send_replace(true);
}

#[tokio::test]
async fn a_running_job_outlives_a_killed_gateway_with_its_progress_and_can_be_steered_after() {
    let (mut gateway, worker) = world().await;
    let held = json!({"service_type": "echo-type", "payload": {"hold": true}});
    let (job, other) = (submit(&gateway.client, &held).await, submit(&gateway.client, &held).await);
    until_status(&gateway.client, &job, "running").await;
    gateway.client.post(&format!("//queue/{job}/progress"), &json!({"percent": 40})).await.good();
    gateway.api.kill9().await;
    gateway.restart_api().await;
    let client = &gateway.client;
    let running = until(&format!("job {job} to be sent again"), SOON, async || {
        let found = client.get(&format!("//queue/{job}")).await;
        let again = found.status == 200 && found.json()["attempts"] == 2 && found.json()["status"] == "running";
        if again { Ok(found.json()) } else { Err(found.text) }
    })
    .await;
    assert_eq!((&running["failures"], &running["error"]), (&json!(0), &Value::Null), "{running}");
    let progress = client.get(&format!("//queue/{job}/progress")).await.good();
    assert_eq!(progress["progress"]["percent"], 40, "{progress}");
    client.delete(&format!("//queue/{job}?running=true")).await.good();
    until_status(client, &job, "cancelled").await;
    worker.go.send_replace(true);
    until_status(client, &other, "completed").await;
    let stats = client.get("//queue/stats").await.good();
    assert_eq!((&stats["total_queued"], &stats["total_running"]), (&json!(0), &json!(0)), "{stats}");
}

#[tokio::test]
async fn one_version_is_told_everywhere() {
    let gateway = gateway().start().await;
    let health = gateway.client.get("//health").await.good();
    let version = health["version"].as_str().unwrap();
    assert_eq!(gateway.client.get("//openapi.json").await.good()["info"]["version"], version);
    assert_eq!(gateway.cli(&["--version"]).await.good(), format!("gantry {version}"));
}

#[tokio::test]
async fn pages_from_elsewhere_are_kept_out_and_operators_see_what_happens() {
    let (gateway, _worker) = world().await;
    let client = &gateway.client;
    let job = submit(client, &json!({"service_type": "echo-type", "payload": {"x": 1}})).await;
    until_status(client, &job, "completed").await;
    for path in ["//queue/stats", "//services"] {
        let foreign = client.request(Method::GET, path).header("origin", "https://evil.example");
        let foreign = Client::send(foreign).await.unwrap();
        assert_eq!(foreign.refusal(), (403, "Forbidden (origin not allowed)".to_owned()), "{path}");
        let open = client.with_token(None).get(path).await;
        assert_eq!(open.refusal(), (401, "Invalid or missing API token".to_owned()), "{path}");
        let named = client.request(Method::GET, path).header("x-request-id", "mine-7");
        assert_eq!(Client::send(named).await.unwrap().header("x-request-id"), "mine-7", "{path}");
    }
    until("the metrics to count the job", SOON, async || {
        let metrics = client.get("//metrics").await.text;
        let counted = metrics.lines().any(|line| {
            line.starts_with("gantry_scheduler_jobs_ended_total") && line.contains("completed") && line.ends_with(" 1")
        });
        if counted { Ok(()) } else { Err(metrics) }
    })
    .await;
}
