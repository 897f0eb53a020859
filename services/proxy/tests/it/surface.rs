//! What the proxy says of itself.

use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello};
use crate::upstream::Upstream;
use proxy::{Config, ModelConfig, ReplicaConfig};
use serde_json::json;

#[tokio::test]
async fn the_model_list_is_the_union_of_all_backends_with_where_each_model_stands() {
    let first = Upstream::of_json("200 OK", "{}").await;
    let second = Upstream::start(|seen, mut conn| async move {
        if seen.path == "/v1/models" {
            conn.json("200 OK", r#"{"object":"list","data":[{"id":"m"},{"id":"big","max_model_len":4096}]}"#).await;
        } else {
            conn.json("200 OK", "{}").await;
        }
        Some(conn)
    })
    .await;
    let mut far = backend("far", "openai", &first);
    far.base_url = "http://127.0.0.1:1/v1".to_owned();
    let models = vec![ModelConfig {
        name: "away".to_owned(),
        replicas: vec![ReplicaConfig { backend: "far".to_owned(), ..ReplicaConfig::default() }],
        ..ModelConfig::default()
    }];
    let backends = vec![backend("a", "ollama", &first), backend("b", "vllm", &second), far];
    let gateway = Gateway::start(Config { backends, models, ..Config::default() }).await;
    let reply = gateway.get("/v1/models").await.json();
    assert_eq!(reply["object"], json!("list"));
    let told: Vec<_> = reply["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (model["id"].clone(), model["state"].clone(), model["backends"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("away"), json!("unreachable"), json!(["far"])),
            (json!("big"), json!("loaded"), json!(["b"])),
            (json!("m"), json!("loaded"), json!(["a", "b"])),
        ]
    );
    assert_eq!(reply["data"][1]["max_model_len"], json!(4096));
    assert_eq!(gateway.get("/v1/models/big").await.json()["id"], json!("big"));
    assert_eq!(gateway.get("/v1/models/nope").await.status, 404);
}

#[tokio::test]
async fn a_model_is_found_by_its_alias_and_by_a_name_with_a_slash_however_that_is_written() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let models = vec![ModelConfig {
        name: "Qwen/Qwen3".to_owned(),
        aliases: vec!["gpt-4o".to_owned()],
        replicas: vec![ReplicaConfig { backend: "one".to_owned(), ..ReplicaConfig::default() }],
        ..ModelConfig::default()
    }];
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.models = models;
        let (name, hash, models) = ("k".to_owned(), proxy::hash_key("k"), vec!["gpt-4o".to_owned()]);
        config.keys = vec![proxy::KeyConfig { name, hash, models, ..proxy::KeyConfig::default() }];
        config.api_keys = vec!["all".to_owned().into()];
    })
    .await;
    let get = async |key: &str, path: &str| {
        crate::client::call(gateway.address, "GET", path, &[("x-api-key", key)], "").await
    };
    for path in ["/v1/models/Qwen/Qwen3", "/v1/models/Qwen%2FQwen3"] {
        assert_eq!(get("all", path).await.json()["id"], json!("Qwen/Qwen3"), "{path}");
    }
    assert_eq!(get("all", "/v1/models/gpt-4o").await.json()["alias_of"], json!("Qwen/Qwen3"));
    assert_eq!(get("k", "/v1/models/Qwen%2FQwen3").await.status, 404, "the key may use its alias alone");
    let listed = get("k", "/v1/models").await.json();
    let ids: Vec<&str> = listed["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(ids, ["gpt-4o"]);
}

#[tokio::test]
async fn a_proxy_is_ready_while_a_backend_answers_and_lives_without_one() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("llamacpp", &upstream).await;
    assert_eq!((gateway.get("/livez").await.status, gateway.get("/readyz").await.status), (200, 200));
    let health = gateway.get("/health").await.json();
    assert_eq!((&health["status"], &health["backends"][0]["healthy"]), (&json!("ok"), &json!(true)));

    let mut far = backend("far", "llamacpp", &upstream);
    far.base_url = "http://127.0.0.1:1/v1".to_owned();
    let gateway = Gateway::start(Config { backends: vec![far], ..Config::default() }).await;
    assert_eq!((gateway.get("/livez").await.status, gateway.get("/readyz").await.status), (200, 503));
    let health = gateway.get("/health").await.json();
    assert_eq!(health["status"], json!("degraded"));
    assert!(health["backends"][0]["reason"].as_str().unwrap().contains("cannot be reached"), "{health}");
    assert!(health["backends"][0]["capabilities"].as_array().unwrap().contains(&json!("rerank")), "{health}");
}

#[tokio::test]
async fn one_backend_that_hangs_keeps_nobody_from_knowing_that_another_answers() {
    let well = Upstream::of_json("200 OK", "{}").await;
    let hangs = Upstream::start(|_, mut conn| async move {
        conn.hung_up().await;
        None
    })
    .await;
    let config =
        Config { backends: vec![backend("a", "openai", &well), backend("b", "openai", &hangs)], ..Config::default() };
    let gateway = Gateway::start(config).await;
    gateway.get("/v1/models").await;
    let begun = std::time::Instant::now();
    assert_eq!(gateway.get("/readyz").await.status, 200);
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_proxy_without_backends_is_ready_where_services_can_be_started_for_it() {
    let alone = Gateway::start(Config::default()).await;
    assert_eq!(alone.get("/readyz").await.status, 503);
    let server = crate::limits::broker().await;
    let bus = crate::limits::connect(&server).await;
    let gateway = Gateway::on(&bus, Config::default()).await;
    assert_eq!(gateway.get("/readyz").await.status, 200);
    assert_eq!(gateway.get("/health").await.json()["services"], json!([]));
}

#[tokio::test]
async fn a_page_may_read_answers_only_if_its_origin_was_allowed() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway =
        Gateway::with("openai", &upstream, |config| config.cors_origins = vec!["https://chat.example".to_owned()])
            .await;
    for (origin, allowed) in [("https://chat.example", true), ("https://evil.example", false)] {
        for (method, path, body) in [
            ("POST", "/v1/chat/completions", PLAIN),
            ("OPTIONS", "/v1/chat/completions", ""),
            ("GET", "/v1/models", ""),
        ] {
            let reply = crate::client::call(gateway.address, method, path, &[("origin", origin)], body).await;
            assert_eq!(reply.header("access-control-allow-origin").is_some(), allowed, "{method} {origin}");
            let exposed = reply.header("access-control-expose-headers").unwrap_or_default();
            assert_eq!(exposed.contains("x-request-id") && exposed.contains("retry-after"), allowed, "{method}");
            if method != "OPTIONS" {
                // Without a key anybody's page could use the models of whoever looks at it.
                assert_eq!(reply.status, if allowed { 200 } else { 403 }, "{method} {origin}");
            }
        }
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_the_security_headers() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("openai", &upstream).await;
    for reply in [gateway.chat(PLAIN).await, gateway.chat("{").await, gateway.get("/v1/models").await] {
        assert!(reply.header("x-request-id").unwrap().starts_with("req_"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn an_anthropic_client_is_told_its_version_back() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("llamacpp", &upstream).await;
    let headers = [("anthropic-version", "2026-10-21")];
    let reply = crate::client::call(gateway.address, "POST", "/v1/messages", &headers, PLAIN).await;
    assert_eq!(reply.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(upstream.requests("/v1/messages")[0].header("anthropic-version"), Some("2026-10-21"));
}

#[tokio::test]
async fn the_metrics_tell_requests_tokens_the_time_between_them_and_that_nothing_is_leaked() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).expect("this is the only test that reads metrics");
    let answer = r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":41,"completion_tokens":2}}"#;
    let upstream = Upstream::of_json("200 OK", answer).await;
    let config = Config { backends: vec![backend("measured", "openai", &upstream)], ..Config::default() };
    let gateway = Gateway::measured(config, move || handle.render()).await;
    assert_eq!(gateway.chat(&PLAIN.replace("\"m\"", "\"measured\"")).await.status, 200);
    let streaming = Gateway::of("openai", &Upstream::of_stream(hello()).await).await;
    assert_eq!(streaming.chat(&STREAM.replace("\"m\"", "\"streamed\"")).await.status, 200);
    let text = gateway.get("/metrics").await.text().to_owned();
    for line in [
        r#"gantry_proxy_requests_total{route="/v1/chat/completions",model="measured",backend="measured",outcome="completed"} 1"#,
        r#"gantry_proxy_tokens_total{model="measured",direction="in"} 41"#,
        // Its two pieces of content came at once.
        r#"gantry_proxy_between_tokens_seconds_count{model="streamed"} 1"#,
        r#"gantry_proxy_between_tokens_seconds_sum{model="streamed"} 0"#,
        r#"gantry_proxy_outstanding_requests{backend="measured"} 0"#,
        "gantry_proxy_permits_leaked 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
    }
}
