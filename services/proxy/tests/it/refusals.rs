//! What clients are told when they are refused, by the proxy or by a backend.

use crate::client::call;
use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello};
use crate::upstream::Upstream;
use proxy::{Config, KeyConfig, RateConfig, hash_key};
use serde_json::{Value, json};

#[tokio::test]
async fn an_unknown_model_is_a_404_that_names_the_ones_that_exist() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("openai", &upstream).await;
    gateway.get("/v1/models").await;
    let reply = gateway.chat(r#"{"model":"nope","messages":[]}"#).await;
    assert_eq!(reply.status, 404);
    let error = &reply.json()["error"];
    assert_eq!(
        (&error["code"], &error["type"], &error["param"]),
        (&json!("model_not_found"), &json!("invalid_request_error"), &json!("model"))
    );
    assert_eq!(error["message"], json!("the model 'nope' does not exist here; models that do: m"));
    assert!(upstream.requests("/v1/chat/completions").is_empty());
}

#[tokio::test]
async fn what_a_backend_cannot_do_is_a_501_that_no_client_repeats() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("tgi", &upstream).await;
    let reply = gateway.post("/v1/embeddings", r#"{"model":"m","input":"x"}"#).await;
    assert_eq!((reply.status, reply.header("x-should-retry")), (501, Some("false")));
    let wanted = json!({"error": {"message": "backend 'one' does not support embeddings", "type": "not_supported_error", "param": null, "code": "capability_not_supported"}});
    assert_eq!(reply.json(), wanted);
}

#[tokio::test]
async fn a_backends_error_keeps_its_status_and_gets_the_envelope() {
    let shapes = [
        (
            "vllm",
            "400 Bad Request",
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            400,
            json!("400"),
        ),
        ("tgi", "422 Unprocessable Entity", r#"{"error":"too long","error_type":"validation"}"#, 422, Value::Null),
        ("ollama", "400 Bad Request", r#"{"error":"too long"}"#, 400, Value::Null),
        (
            "llamacpp",
            "400 Bad Request",
            r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}"#,
            400,
            json!("400"),
        ),
        (
            "llamacpp",
            "501 Not Implemented",
            r#"{"error":{"code":501,"message":"too long","type":"not_supported_error"}}"#,
            501,
            json!("capability_not_supported"),
        ),
        (
            "openai",
            "401 Unauthorized",
            r#"{"error":{"message":"too long","code":"invalid_api_key"}}"#,
            502,
            json!("invalid_api_key"),
        ),
    ];
    for (kind, status, body, wanted, code) in shapes {
        let upstream = Upstream::of_json(status, body).await;
        let gateway = Gateway::of(kind, &upstream).await;
        for request in [PLAIN, STREAM] {
            let reply = gateway.chat(request).await;
            assert_eq!(reply.status, wanted, "{kind}");
            let error = &reply.json()["error"];
            assert_eq!((&error["message"], &error["code"]), (&json!("too long"), &code), "{kind}");
            assert!(error["type"].is_string(), "{kind}");
        }
    }
}

#[tokio::test]
async fn an_anthropic_client_gets_anthropic_errors() {
    let upstream = Upstream::of_json(
        "503 Service Unavailable",
        r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
    )
    .await;
    let gateway = Gateway::of("llamacpp", &upstream).await;
    let reply = gateway.post("/v1/messages", r#"{"model":"m","max_tokens":1,"messages":[]}"#).await;
    assert_eq!(reply.status, 529);
    let body = reply.json();
    assert_eq!(
        (&body["type"], &body["error"]["type"], &body["error"]["message"]),
        (&json!("error"), &json!("overloaded_error"), &json!("Loading model"))
    );
    assert_eq!(body["request_id"].as_str(), reply.header("request-id"));
    gateway.get("/v1/models").await;
    let reply = gateway.post("/v1/messages", r#"{"model":"nope","max_tokens":1,"messages":[]}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_a_502_that_says_which() {
    let gone = Upstream::of_json("200 OK", "{}").await;
    let mut config = Config { backends: vec![backend("far", "openai", &gone)], ..Config::default() };
    config.backends[0].base_url = "http://127.0.0.1:1/v1".to_owned();
    let gateway = Gateway::start(config).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("upstream_unreachable")));
    assert!(reply.text().contains("backend 'far' cannot be reached: "), "{}", reply.text());
    gateway.settled().await;
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_400_and_one_that_is_too_large_a_413() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::with("openai", &upstream, |config| config.bounds.request_bytes = 100).await;
    for (body, status, code) in [
        ("nonsense", 400, "invalid_body"),
        ("{\"messages\":[]}", 400, "model_required"),
        (&format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "y".repeat(100)), 413, "body_too_large"),
    ] {
        let reply = gateway.chat(body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &json!(code)), "{body}");
    }
    let coded = [("content-encoding", "gzip")];
    let reply = call(gateway.address, "POST", "/v1/chat/completions", &coded, PLAIN).await;
    assert!(reply.status == 400 && reply.text().contains("content-encoding"), "{}", reply.text());
    gateway.settled().await;
}

#[tokio::test]
async fn a_member_that_cannot_be_meant_is_a_400_that_names_it_and_is_never_guessed_at() {
    let upstream = Upstream::of_stream(hello()).await;
    let gateway = Gateway::with("openai", &upstream, |config| config.default_model = Some("m".to_owned())).await;
    for (member, bad) in [
        ("stream", &["1", "0", "\"true\"", "\"yes\"", "[]", "{}"][..]),
        ("model", &["5", "true", "[\"m\"]", "{\"a\":1}"]),
    ] {
        for value in bad {
            for path in ["/v1/chat/completions", "/v1/messages", "/v1/responses"] {
                let reply = gateway.post(path, &format!("{{\"{member}\":{value},\"messages\":[]}}")).await;
                assert_eq!(reply.status, 400, "{member} {value} at {path}");
                assert!(reply.text().contains(&format!("'{member}' must be ")), "{}", reply.text());
            }
        }
    }
    let error = &gateway.chat(r#"{"stream":1,"messages":[]}"#).await.json()["error"];
    assert_eq!((&error["param"], &error["code"]), (&json!("stream"), &json!("invalid_type")));
    assert!(upstream.requests("/v1/chat/completions").is_empty());
    for good in [r#"{"model":null,"stream":true,"messages":[]}"#, r#"{"model":"m","stream":null,"messages":[]}"#] {
        assert_eq!(gateway.chat(good).await.status, 200, "{good}");
    }
    gateway.settled().await;
}

#[tokio::test]
async fn a_model_that_only_a_silent_server_may_have_is_said_to_be_that_and_not_to_be_missing() {
    let good = Upstream::of_stream(hello()).await;
    let mut config = Config { backends: vec![backend("a", "openai", &good)], ..Config::default() };
    config.backends.push(proxy::BackendConfig::new("far", "openai", "http://127.0.0.1:1/v1"));
    let gateway = Gateway::start(config).await;
    let reply = gateway.chat(r#"{"model":"typo","messages":[]}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &json!("no_backend_available")));
    let text = "the model 'typo' may be on 'far', which does not answer now; models on others: m";
    assert_eq!(reply.json()["error"]["message"], json!(text));
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn a_key_is_asked_for_once_one_is_configured_and_both_headers_carry_it() {
    let upstream = Upstream::of_stream(hello()).await;
    let gateway = Gateway::with("openai", &upstream, |config| config.api_keys = vec!["sesame".to_owned().into()]).await;
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer wrong")], 401),
        (vec![("authorization", "Basic sesame")], 401),
        (vec![("authorization", "Bearer sesame")], 200),
        (vec![("x-api-key", "sesame")], 200),
    ] {
        let reply = call(gateway.address, "POST", "/v1/chat/completions", &headers, STREAM).await;
        assert_eq!(reply.status, status, "{headers:?}");
        assert_eq!(call(gateway.address, "GET", "/v1/models", &headers, "").await.status, status, "{headers:?}");
        if status == 401 {
            assert_eq!(reply.json()["error"]["code"], json!("invalid_api_key"));
        }
    }
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_key_may_do_only_what_its_entry_says() {
    let upstream = Upstream::of_stream(hello()).await;
    let key = |name: &str, change: fn(&mut KeyConfig)| {
        let mut key = KeyConfig { name: name.to_owned(), hash: hash_key(name), ..KeyConfig::default() };
        change(&mut key);
        key
    };
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.keys = vec![
            key("lists", |key| key.scopes = vec!["models".to_owned()]),
            key("other", |key| key.models = vec!["x".to_owned()]),
            key("once", |key| key.requests_per_minute = Some(1)),
            key("spent", |key| key.token_budget = Some(0)),
        ];
    })
    .await;
    let send =
        async |name: &str| call(gateway.address, "POST", "/v1/chat/completions", &[("x-api-key", name)], STREAM).await;
    assert_eq!((send("lists").await.status, send("other").await.status), (403, 403));
    assert_eq!((send("once").await.status, send("once").await.status, send("spent").await.status), (200, 429, 429));
    gateway.settled().await;
}

#[tokio::test]
async fn a_caller_over_the_limit_is_told_when_to_come_back_and_never_more_than_a_minute() {
    let upstream = Upstream::of_stream(hello()).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.rate = RateConfig { enabled: true, per_minute: 1, burst: 2 };
    })
    .await;
    assert_eq!((gateway.chat(STREAM).await.status, gateway.chat(STREAM).await.status), (200, 200));
    let reply = gateway.chat(STREAM).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    let milliseconds: u64 = reply.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    assert!((50_000..=60_000).contains(&milliseconds), "{milliseconds}");
}

#[tokio::test]
async fn a_backends_long_retry_after_is_cut_to_a_minute_also_when_it_is_a_date() {
    for wait in ["120", "Fri, 31 Dec 2100 23:59:59 GMT"] {
        let upstream = Upstream::start(move |seen, mut conn| async move {
            if !conn.lists_models(&seen).await {
                let head =
                    format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: {wait}\r\ncontent-length: 0\r\n\r\n");
                conn.send(head.as_bytes()).await;
            }
            Some(conn)
        })
        .await;
        let gateway = Gateway::of("openai", &upstream).await;
        let reply = gateway.chat(PLAIN).await;
        assert_eq!(
            (reply.status, reply.header("retry-after"), reply.header("retry-after-ms")),
            (429, Some("60"), Some("60000")),
            "{wait}"
        );
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_and_a_method_that_is_not_taken_get_the_envelope_too() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("openai", &upstream).await;
    for (method, path, status, code) in [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("PUT", "/v1/models/m", 405, "method_not_allowed"),
        ("PATCH", "/v1/jobs/job_1", 405, "method_not_allowed"),
    ] {
        let reply = call(gateway.address, method, path, &[], "").await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &json!(code)), "{method} {path}");
        assert!(reply.header("x-request-id").is_some(), "{method} {path}");
    }
    for (method, path, status, kind) in [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
    ] {
        let reply = call(gateway.address, method, path, &[], "").await;
        let body = reply.json();
        assert_eq!((reply.status, &body["type"], &body["error"]["type"]), (status, &json!("error"), &json!(kind)));
        assert_eq!(body["request_id"].as_str(), reply.header("request-id"));
    }
}

#[tokio::test]
async fn an_anthropic_client_gets_types_that_it_knows_whatever_a_backend_calls_them() {
    for (status, body, wanted, kind) in [
        (
            "400 Bad Request",
            r#"{"error":{"message":"no","type":"BadRequestError","code":400}}"#,
            400,
            "invalid_request_error",
        ),
        ("429 Too Many Requests", r#"{"error":"no","error_type":"overloaded"}"#, 429, "rate_limit_error"),
        ("500 Internal Server Error", r#"{"error":{"message":"no","type":"server_error"}}"#, 500, "api_error"),
    ] {
        let upstream = Upstream::of_json(status, body).await;
        let gateway = Gateway::of("openai", &upstream).await;
        let reply = gateway.post("/v1/messages", r#"{"model":"m","max_tokens":1,"messages":[]}"#).await;
        assert_eq!((reply.status, &reply.json()["error"]["type"]), (wanted, &json!(kind)), "{body}");
    }
    // An error in the place of a stream's first event has the status of its type.
    let event =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"later\"}}\n\n";
    let gateway = Gateway::of("llamacpp", &Upstream::of_stream(event).await).await;
    let reply = gateway.post("/v1/messages", r#"{"model":"m","stream":true,"max_tokens":1,"messages":[]}"#).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (529, &json!("overloaded_error")));
}

#[tokio::test]
async fn what_a_kind_does_not_offer_is_a_501_on_every_path() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::of("tgi", &upstream).await;
    for path in [
        "/v1/embeddings",
        "/v1/responses",
        "/v1/rerank",
        "/v1/audio/speech",
        "/v1/audio/transcriptions",
        "/v1/images/generations",
    ] {
        let reply = gateway.post(path, r#"{"model":"m","input":"x"}"#).await;
        assert_eq!((reply.status, reply.header("x-should-retry")), (501, Some("false")), "{path}");
        assert_eq!(reply.json()["error"]["code"], json!("capability_not_supported"), "{path}");
        assert!(upstream.requests(path).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_key_of_some_models_is_told_of_no_others() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        let _ = seen;
        conn.json("200 OK", r#"{"object":"list","data":[{"id":"m"},{"id":"secret"}]}"#).await;
        Some(conn)
    })
    .await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        let models = vec!["m".to_owned()];
        config.keys = vec![KeyConfig { name: "k".to_owned(), hash: hash_key("k"), models, ..KeyConfig::default() }];
    })
    .await;
    let key = [("x-api-key", "k")];
    let listed = call(gateway.address, "GET", "/v1/models", &key, "").await;
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 1);
    for body in [r#"{"model":"nope"}"#, "{}"] {
        let reply = call(gateway.address, "POST", "/v1/chat/completions", &key, body).await;
        assert!(reply.text().contains(": m\"") && !reply.text().contains("secret"), "{}", reply.text());
    }
}

#[tokio::test]
async fn the_limit_for_everybody_is_counted_by_key_and_leaves_those_alone_that_have_one_of_their_own() {
    let upstream = Upstream::of_stream(hello()).await;
    let key = |name: &str, tenant: Option<&str>, requests: Option<u32>| KeyConfig {
        name: name.to_owned(),
        hash: hash_key(name),
        tenant: tenant.map(str::to_owned),
        requests_per_minute: requests,
        ..KeyConfig::default()
    };
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.rate = RateConfig { enabled: true, per_minute: 1, burst: 1 };
        config.keys = vec![key("a", Some("t"), None), key("b", Some("t"), None), key("own", None, Some(1_000))];
        config.own_keys = vec!["inner".to_owned().into()];
    })
    .await;
    let send =
        async |name: &str| call(gateway.address, "POST", "/v1/chat/completions", &[("x-api-key", name)], STREAM).await;
    for (name, second) in [("a", 429), ("b", 429), ("own", 200), ("inner", 200)] {
        assert_eq!((send(name).await.status, send(name).await.status), (200, second), "{name}");
    }
}
