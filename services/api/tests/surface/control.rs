//! Laws of the GPU control plane's routes that hold before any scheduler runs: who may ask, what is refused at the edge,
//! what is accepted durably, and what hosts say of their GPUs.

use super::world::{Answer, SOON, World};
use axum::body::Body;
use domain::control::JobId;
use domain::nodes::NodeReport;
use http_body_util::BodyExt;
use serde_json::{Value, json};

impl World {
    async fn control(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.send(request, body.to_string()).await
    }

    async fn look(&self, path: &str) -> Answer {
        self.send(http::Request::get(path), Body::empty()).await
    }
}

fn first_issue(answer: &Answer) -> (u16, Value, Value) {
    let detail = &answer.json()["detail"][0];
    (answer.status, detail["type"].clone(), detail["loc"].clone())
}

#[tokio::test]
async fn every_route_but_health_asks_for_a_token_in_the_contracts_words() {
    let world = World::start().await;
    let paths =
        ["/gpu", "/vram", "/services", "/services/x", "/queue", "/queue/stats", "/preempt/check/x", "/available/llm"];
    for path in paths {
        for (name, value) in [("x", ""), ("authorization", "Bearer wrong"), ("x-api-key", super::world::TOKEN)] {
            let request = http::Request::get(path).header(name, value).header("x-forwarded-for", "10.0.0.1");
            let answer = world.open_bare(request).await;
            // Wrong tokens lock their address out after a while, which is as good.
            let refused = answer.status().as_u16();
            assert!([401, 429].contains(&refused), "{path}: {refused}");
            assert!(answer.headers().get("www-authenticate").is_none());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let text = if refused == 401 { r#"{"detail":"Invalid or missing API token"}"# } else { "lockout" };
            assert!(String::from_utf8_lossy(&body).contains(text), "{path}");
        }
    }
    let health = world.open_bare(http::Request::get("/health")).await;
    assert_eq!(health.status(), 200);
    let health: Value = serde_json::from_slice(&health.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(health["status"], "ok");
    assert!(health["timestamp"].as_str().is_some_and(|text| text.ends_with("+00:00")));
}

#[tokio::test]
async fn a_registration_is_refused_in_the_contracts_order_and_for_every_wrong_value() {
    let world = World::start().await;
    let whole = json!({"name": "img", "container": "c-1", "port": 19001, "type": "llm"});
    for missing in ["name", "container", "port", "type"] {
        for empty in [Value::Null, json!(""), json!(0)] {
            let mut body = whole.clone();
            body[missing] = if empty == json!("") && missing == "port" { Value::Null } else { empty.clone() };
            let answer = world.control("POST", "/services/register", body.clone()).await;
            let is_zero_text = empty == json!(0) && missing != "port";
            if is_zero_text {
                assert_eq!(answer.status, 422, "{body}");
            } else {
                assert_eq!(answer.detail(), (400, format!("'{missing}' is required")), "{body}");
            }
        }
    }
    for (field, value) in [
        ("name", json!("a/b")),
        ("name", json!("register")),
        ("port", json!("abc")),
        ("port", json!(70_000)),
        ("vram_gb", json!("lots")),
        ("vram_gb", json!(-1)),
        ("progress_mode", json!("bogus")),
        ("health_endpoint", json!("@10.0.0.1:80/x")),
        ("progress_endpoint", json!("//evil/x")),
        ("stop_endpoint", json!("http://evil/")),
        ("container", json!("../x")),
        ("max_concurrency", json!(0)),
        ("url", json!("http://a:b@example.com")),
        ("definition", json!({"image": ""})),
        ("definition", json!({"command": []})),
    ] {
        let mut body = whole.clone();
        body[field] = value;
        let answer = world.control("POST", "/services/register", body.clone()).await;
        assert_eq!(first_issue(&answer).0, 422, "{body}: {}", answer.text);
        assert_eq!(first_issue(&answer).2, json!(["body", field]), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_answered_as_the_contract_does() {
    let world = World::start().await;
    let list = world.control("POST", "/services/register", json!([1])).await;
    assert_eq!(first_issue(&list), (422, json!("dict_type"), json!(["body"])));
    let untyped = world.send(http::Request::post("/services/register"), "{\"a\":1}").await;
    assert_eq!(first_issue(&untyped), (422, json!("dict_type"), json!(["body"])));
    assert_eq!(untyped.json()["detail"][0]["input"], "{\"a\":1}");
    let broken = http::Request::post("/services/register").header("content-type", "application/json");
    let broken = world.send(broken, "not json").await;
    assert_eq!(
        broken.json(),
        json!({"detail": [{"type": "json_invalid", "loc": ["body", 0],
        "msg": "JSON decode error", "input": {}, "ctx": {"error": "Expecting value"}}]})
    );
}

#[tokio::test]
async fn a_job_is_accepted_durably_while_no_scheduler_runs_and_a_key_names_it_for_ever() {
    let world = World::start().await;
    for (body, why) in [
        (json!({}), "service_type is required"),
        (json!({"service_type": "x"}), "payload is required"),
        (json!({"service_type": "x", "payload": {}}), "payload is required"),
    ] {
        assert_eq!(world.control("POST", "/queue/submit", body).await.detail(), (400, why.to_owned()));
    }
    let request = || {
        http::Request::post("/queue/submit").header("content-type", "application/json").header("idempotency-key", "k-1")
    };
    let body =
        r#"{"service_type": "my-type", "payload": {"a": 1.50, "b": "\u00e9"}, "priority": -5, "ttl_seconds": null}"#;
    let first = world.send(request(), body).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let shown = first.json();
    assert_eq!(
        (&shown["position"], &shown["estimated_wait"]),
        (&Value::Null, &json!("depends on service availability"))
    );
    let id = JobId::from(shown["job_id"].as_str().unwrap());
    let stored = world.bus.control().request(&id).await.unwrap().expect("the job is stored");
    assert_eq!(stored.payload.get(), r#"{"a": 1.50, "b": "\u00e9"}"#);
    assert_eq!((stored.priority, stored.ttl_seconds, stored.max_attempts), (-5, None, 3));
    let again = world.send(request(), body).await;
    assert_eq!((&again.json()["job_id"], &again.json()["repeated"]), (&shown["job_id"], &json!(true)));
    let other = world.send(request(), r#"{"service_type": "my-type", "payload": 2}"#).await;
    assert_eq!(other.status, 409, "{}", other.text);
}

#[tokio::test]
async fn a_submission_is_checked_field_by_field() {
    let world = World::start().await;
    for (field, value) in [
        ("priority", json!("high")),
        ("priority", json!({"a": 1})),
        ("service_type", json!("a/b")),
        ("service_name", json!("../x")),
        ("callback_url", json!("http://169.254.169.254/latest")),
        ("callback_url", json!("http://localhost:1/")),
        ("ttl_seconds", json!(-1)),
        ("max_attempts", json!(0)),
        ("timeout_ms", json!("soon")),
    ] {
        let mut body = json!({"service_type": "x", "payload": 1});
        body[field] = value;
        let answer = world.control("POST", "/queue/submit", body.clone()).await;
        assert_eq!(first_issue(&answer).0, 422, "{body}: {}", answer.text);
        assert_eq!(first_issue(&answer).2, json!(["body", field]), "{body}");
        let batch =
            world.control("POST", "/queue/batch", json!({"jobs": [{"service_type": "x", "payload": 1}, body]})).await;
        assert_eq!(first_issue(&batch).2, json!(["body", "jobs", 1, field]), "{}", batch.text);
    }
}

#[tokio::test]
async fn a_batch_is_stored_whole_and_in_its_order() {
    let world = World::start().await;
    let jobs: Vec<Value> = (0..100).map(|n| json!({"service_type": "x", "payload": {"n": n}})).collect();
    let answer = world.control("POST", "/queue/batch", json!({"jobs": jobs})).await;
    assert_eq!(answer.json()["accepted"], 100, "{}", answer.text);
    for (n, job) in answer.json()["jobs"].as_array().unwrap().iter().enumerate() {
        let id = JobId::from(job["job_id"].as_str().unwrap());
        let stored = world.bus.control().request(&id).await.unwrap().unwrap();
        assert_eq!(stored.payload.get(), format!("{{\"n\":{n}}}"));
    }
    for wrong in [json!({"jobs": []}), json!({"jobs": [{"service_type": "x"}]})] {
        assert_eq!(world.control("POST", "/queue/batch", wrong).await.status, 400);
    }
}

#[tokio::test]
async fn a_payload_of_megabytes_is_taken_and_more_is_refused() {
    let world = World::start().await;
    let of = |bytes: usize| json!({"service_type": "vlm", "payload": "x".repeat(bytes)});
    assert_eq!(world.control("POST", "/queue/submit", of(2_000_000)).await.status, 200);
    assert_eq!(world.control("POST", "/queue/submit", of(3_200_000)).await.status, 413);
}

#[tokio::test]
async fn without_a_scheduler_reads_say_what_to_start_and_orders_say_that_they_are_stored() {
    let world = World::start().await;
    for path in ["/services", "/services/x", "/vram", "/queue", "/queue/stats", "/available/llm", "/preempt/check/x"] {
        let answer = world.look(path).await;
        let (status, detail) = answer.detail();
        assert_eq!(status, 503, "{path}: {detail}");
        assert!(detail.contains("no scheduler answers") && detail.contains("gantry scheduler"), "{path}: {detail}");
        assert_eq!(answer.headers["retry-after"], "1");
    }
    let whole = json!({"name": "img", "container": "c-1", "port": 19001, "type": "llm"});
    let (status, detail) = world.control("POST", "/services/register", whole).await.detail();
    assert_eq!(status, 503);
    assert!(detail.contains("the order is stored"), "{detail}");
}

#[tokio::test]
async fn gpus_are_summed_over_all_that_report_and_none_is_told_with_its_reason() {
    let world = World::start().await;
    let none = world.look("/gpu").await.json();
    assert_eq!((&none["available"], &none["gpu_name"], &none["processes"]), (&json!(false), &Value::Null, &json!([])));
    assert!(
        none.get("unified_memory").is_none() && none["error"].as_str().is_some_and(|why| why.contains("gpu-monitor"))
    );
    let measured = |value: Value| json!({"is": "measured", "value": value});
    let device = |index: u64, used: u64| {
        json!({"id": format!("GPU-{index}"), "index": index, "name": "NVIDIA RTX 4090", "unified": false,
            "memory": {"total_mb": measured(json!(24_564)), "used_mb": measured(json!(used)), "free_mb": measured(json!(24_564 - used))},
            "reserve_mb": 512, "utilisation_percent": measured(json!(95 - index * 90)),
            "temperature_c": measured(json!(61)), "power_w": measured(json!(287.5)),
            "processes": measured(json!([{"pid": 1234 + index, "name": measured(json!("python3")), "kind": "both",
                "memory_mb": measured(json!(6_000)), "owner": measured(json!({"kind": "host"}))}]))})
    };
    let report = json!({"node": "gpu-1", "instance": "i", "number": 1, "at": now(), "version": "1",
        "devices": {"devices_are": "seen", "source": "recorded", "devices": [device(0, 8_192), device(1, 0)]},
        "engine": {"engine_is": "down", "because": "test"},
        "system_total_mb": measured(json!(1)), "system_available_mb": measured(json!(1))});
    let mut report: NodeReport = serde_json::from_value(report).unwrap();
    world.bus.nodes().report(&report).await.unwrap();
    let two = world.look("/gpu").await.json();
    for (key, value) in [
        ("available", json!(true)),
        ("gpu_name", json!("2 x NVIDIA RTX 4090")),
        ("gpu_utilization_pct", json!(50)),
        ("memory_used_mb", json!(8_192)),
        ("memory_total_mb", json!(49_128)),
        ("memory_free_mb", json!(40_936)),
        ("memory_utilization_pct", json!(16.7)),
        ("temperature_c", json!(61)),
        ("power_draw_w", json!(575.0)),
        ("unified_memory", json!(false)),
    ] {
        assert_eq!(two[key], value, "{key}");
    }
    assert_eq!(
        two["processes"][1],
        json!({"pid": 1235, "type": "C+G", "name": "python3", "memory_mb": 6_000, "gpu": "GPU-1"})
    );
    assert_eq!((&two["gpus"][0]["node"], &two["gpus"][1]["id"]), (&json!("gpu-1"), &json!("GPU-1")));
    report.at = report.at.plus_micros(-3_600_000_000);
    world.bus.nodes().report(&report).await.unwrap();
    assert_eq!(world.look("/gpu").await.json()["available"], false, "a host that fell silent is not counted");
}

fn now() -> domain::Time {
    jiff::Timestamp::now().into()
}

#[tokio::test]
async fn an_event_stream_keeps_its_connection_alive_and_ends_with_the_process() {
    let world = World::start().await;
    let open = world.open(http::Request::get("/queue/events?heartbeat_s=0.2"), Body::empty()).await;
    assert_eq!(open.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut body = open.into_body();
    let first = tokio::time::timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, ": keep-alive\n\n");
    assert_eq!(world.tasks.stop(SOON).await.aborted, Vec::<String>::new());
    let rest = tokio::time::timeout(SOON, body.collect()).await.expect("the stream ends").unwrap();
    assert!(rest.to_bytes().is_empty());
    let wrong = world.look("/queue/events?after=x").await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
}
