//! Backends and models over the API and from the command line: in force at every proxy of the program at once.

use crate::flows;
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use testkit::{Answer, Client, FakeModel, Gateway, SOON, until};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

async fn ask(proxy: &Client, model: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    proxy.post("//v1/chat/completions", &body).await
}

async fn until_status(proxies: &[Client], model: &str, status: u16) -> Value {
    let mut last = Value::Null;
    for proxy in proxies {
        last = until(&format!("{model} at {} to answer {status}", proxy.url()), SOON, async || {
            let answer = ask(proxy, model).await;
            if answer.status == status { Ok(answer.json()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }
    last
}

/// Waits until every proxy has said that it is so.
async fn until_state(client: &Client, path: &str, proxies: usize, state: &str) -> Value {
    until(&format!("{path} to be {state} at {proxies} proxies"), SOON, async || {
        let shown = client.get(path).await.good();
        let standing = shown["proxies"].as_array().unwrap();
        let all = standing.len() == proxies && standing.iter().all(|proxy| proxy["state"] == state);
        if all { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await
}

/// A model server whose streams stop after their first piece until the gate opens.
async fn gated(open: &Arc<watch::Sender<bool>>) -> (String, tokio::task::JoinHandle<()>) {
    use axum::response::IntoResponse;
    use axum::routing::{get, post};
    let piece = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"fake-model\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let (first, rest) =
        (piece(r#"{"role":"assistant","content":"Hel"}"#, "null"), piece(r#"{"content":"lo"}"#, "\"stop\""));
    let gate = Arc::clone(open);
    let complete = move || {
        let (first, rest, mut gate) = (first.clone(), rest.clone(), gate.subscribe());
        async move {
            let later = async move {
                let _ = gate.wait_for(|open| *open).await;
                Ok::<_, std::convert::Infallible>(rest + "data: [DONE]\n\n")
            };
            let body =
                futures::StreamExt::chain(futures::stream::iter([Ok(first)]), futures::stream::once(Box::pin(later)));
            ([("content-type", "text/event-stream")], axum::body::Body::from_stream(body)).into_response()
        }
    };
    let list = json!({"object": "list", "data": [{"id": "fake-model"}]});
    let router = axum::Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(async move || axum::Json(list)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_made_used_changed_under_a_stream_restarted_and_removed() {
    let open = Arc::new(watch::Sender::new(false));
    let (slow, server) = gated(&open).await;
    let spare = FakeModel::start(&[]).await;
    let mut gateway = flows::gateway().start().await;
    let (mut process, other) = gateway.add_proxy("second-proxy").await;
    let client = gateway.client.clone();
    let proxies = [client.with_token(None), other.clone()];
    assert_eq!(client.put("/models/chat", &json!({"replicas": [{"backend": "slow"}]})).await.status, 422);
    let backend = json!({"kind": "openai", "base_url": slow, "api_key": "hush-hush", "concurrency": 8});
    let made = client.put("/backends/slow", &backend).await;
    assert_eq!((made.good()["has_api_key"].clone(), made.header("etag")), (json!(true), "\"1\""));
    let spare_at = json!({"kind": "openai", "base_url": spare.url()});
    client.put("/backends/spare", &spare_at).await.good();
    let replicas = json!([{"backend": "slow", "model": "fake-model", "weight": 3}]);
    let model = json!({"aliases": ["team/gpt:4"], "replicas": replicas, "timeouts": {"total_s": 600}});
    client.put("/models/chat", &model).await.good();
    until_state(&client, "/models/chat", 2, "in_force").await;

    let body = json!({"model": "team/gpt:4", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut stream = other.request(reqwest::Method::POST, "//v1/chat/completions").json(&body).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let mut text = String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()).into_owned();
    // Under the open stream its model moves to another server, and its server goes.
    let moved = json!({"replicas": [{"backend": "spare", "model": "fake-model"}], "aliases": ["Qwen/new"]});
    client.patch("/models/chat", &moved).await.good();
    let removed = client.delete("/backends/slow").await.good();
    assert_eq!(removed["removed"], true);
    until_status(&proxies, "Qwen/new", 200).await;
    until_status(&proxies, "team/gpt:4", 404).await;
    open.send_replace(true);
    while let Some(piece) = stream.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.contains("\"lo\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let shown = client.get("/models/chat").await.good();
    assert_eq!(shown["timeouts"], json!({"total_s": 600.0}), "what was not named stays: {shown}");

    gateway.api.kill9().await;
    process.kill9().await;
    gateway.restart_api().await;
    let (_third, third) = gateway.add_proxy("third-proxy").await;
    let proxies = [client.with_token(None), third];
    until_status(&proxies, "Qwen/new", 200).await;
    let busy = client.delete("/backends/spare").await;
    assert!(busy.status == 409 && busy.refusal().1.contains("chat"), "{busy:?}");
    client.delete("/models/chat").await.good();
    until_status(&proxies, "chat", 404).await;
    client.delete("/backends/spare").await.good();
    assert_eq!(client.delete("/backends/spare").await.status, 404);
    let left = client.get("/backends").await;
    assert_eq!(left.good()["items"], json!([]));
    assert!(!left.text.contains("hush-hush") && !made.text.contains("hush-hush"));
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn fallbacks_and_times_of_a_stored_model_hold_at_two_proxies() {
    let (held, spare) = (FakeModel::start(&[]).await, FakeModel::start(&[]).await);
    let gateway = flows::gateway().start().await;
    let (_process, other) = gateway.add_proxy("second-proxy").await;
    let client = gateway.client.clone();
    let proxies = [client.with_token(None), other];
    for (name, url) in [("held", held.url()), ("spare", spare.url()), ("nobody", "http://127.0.0.1:9/v1")] {
        client.put(&format!("/backends/{name}"), &json!({"kind": "openai", "base_url": url})).await.good();
    }
    let at = |backend: &str| json!([{"backend": backend, "model": "fake-model"}]);
    client.put("/models/spare-model", &json!({"replicas": at("spare")})).await.good();
    let careful = json!({"replicas": at("nobody"), "fallbacks": ["spare-model"]});
    client.put("/models/careful", &careful).await.good();
    client.put("/models/brief", &json!({"replicas": at("held"), "timeouts": {"total_s": 0.3}})).await.good();
    until_status(&proxies, "careful", 200).await;
    assert!(spare.asked().len() >= 2, "both went to the fallback");
    until_status(&proxies, "brief", 200).await;
    held.hold();
    let late = until_status(&proxies, "brief", 504).await;
    assert_eq!(late["error"]["code"], "total_timeout");
    client.patch("/models/brief", &json!({"timeouts": {"total_s": null}})).await.good();
    held.release();
    until_status(&proxies, "brief", 200).await;
    let cycle = client.patch("/models/spare-model", &json!({"fallbacks": ["careful"]})).await;
    assert!(cycle.status == 422 && cycle.text.contains("lead back"), "{cycle:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_the_same_and_shows_how_it_stands() {
    let model = FakeModel::start(&[]).await;
    let gateway = flows::gateway().start().await;
    let (_process, other) = gateway.add_proxy("second-proxy").await;
    let proxies = [gateway.client.with_token(None), other];
    let mut create = gateway.command(&[
        "backend",
        "create",
        "one",
        "--kind",
        "openai",
        "--base-url",
        model.url(),
        "--api-key-stdin",
        "-o",
        "json",
    ]);
    let mut create = create.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    create.stdin.take().unwrap().write_all(b"hush-hush\n").await.unwrap();
    let created = create.wait_with_output().await.unwrap();
    let text = String::from_utf8_lossy(&created.stdout).into_owned();
    assert!(created.status.success() && !text.contains("hush-hush"), "{text}");
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&shown["has_api_key"], &shown["revision"]), (&json!(true), &json!(1)));
    let again = gateway.cli(&["backend", "create", "one", "--kind", "openai", "--base-url", model.url()]).await;
    assert!(again.code == 1 && again.remarks.contains("exists"), "{again:?}");
    let arguments = [
        "model",
        "create",
        "chat",
        "--replica",
        "one,model=fake-model,weight=2",
        "--alias",
        "gpt-4o,org/m",
        "--fallback",
        "elsewhere",
        "--queue",
        "9",
        "--first-token-timeout",
        "20",
        "--total-timeout",
        "0.5",
    ];
    gateway.cli(&arguments).await.good();
    until_status(&proxies, "org/m", 200).await;
    for change in [["backend", "update", "one", "--concurrency"], ["model", "update", "chat", "--queue"]] {
        until("a change to be shown as it stands at both proxies", SOON, async || {
            let ran = gateway.cli(&[&change[..], &["9", "-o", "json"]].concat()).await;
            let states: Vec<Value> =
                ran.json()["proxies"].as_array().unwrap().iter().map(|proxy| proxy["state"].clone()).collect();
            if states == [json!("in_force"), json!("in_force")] { Ok(()) } else { Err(format!("{ran:?}")) }
        })
        .await;
    }
    let wide = until("the list to say that it is in force", SOON, async || {
        let listed = gateway.cli(&["models", "list", "-o", "wide"]).await;
        if listed.good().contains("in force") { Ok(listed) } else { Err(listed.data) }
    })
    .await;
    assert!(wide.data.contains("one,model=fake-model,weight=2") && wide.data.contains("total=0.5"), "{}", wide.data);
    gateway.cli(&["model", "update", "chat", "--alias", "none", "--total-timeout", "none"]).await.good();
    until_status(&proxies, "org/m", 404).await;
    let shown = gateway.cli(&["model", "show", "chat", "-o", "json"]).await.json();
    assert_eq!((&shown["aliases"], &shown["queue"]), (&json!([]), &json!(9)));
    assert_eq!(shown["timeouts"], json!({"first_token_s": 20.0}));
    refuses_what_cannot_be(&gateway).await;
    gateway.cli(&["model", "remove", "chat"]).await.good();
    gateway.cli(&["backend", "remove", "one"]).await.good();
    until_status(&proxies, "chat", 404).await;
}

/// Of a backend `one` and its model `chat`.
async fn refuses_what_cannot_be(gateway: &Gateway) {
    let busy = gateway.cli(&["backend", "rm", "one"]).await;
    assert!(busy.code == 1 && busy.remarks.contains("named by the models chat"), "{busy:?}");
    for wrong in [
        &["backend", "update", "one", "--kind", "vlm"][..],
        &["model", "update", "chat", "--replica", "two"],
        &["model", "show", "nobody"],
    ] {
        let ran = gateway.cli(wrong).await;
        assert!(ran.code == 1 && ran.data.is_empty() && ran.remarks.contains("error: "), "{ran:?}");
    }
    let usage = gateway.cli(&["model", "update", "chat", "--queue", "many"]).await;
    assert_eq!(usage.code, 2, "{usage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxies_own_settings_go_first_and_what_is_passed_over_says_so() {
    let (own, stored) = (FakeModel::start(&[]).await, FakeModel::start(&[]).await);
    // The one backend of the settings has the name of its kind.
    let gateway = flows::gateway().model(&own).start().await;
    let client = gateway.client.clone();
    client.put("/backends/openai", &json!({"kind": "openai", "base_url": stored.url()})).await.good();
    let shown = until_state(&client, "/backends/openai", 1, "passed_over").await;
    assert!(shown["proxies"][0]["because"].as_str().unwrap().contains("own settings"), "{shown}");
    let changed = client.patch("/backends/openai", &json!({"concurrency": 3})).await.good();
    let standing = &changed["proxies"][0];
    assert_eq!((&standing["state"], &standing["because"]), (&json!("behind"), &Value::Null), "of the revision before");
    until("the command line to say that no proxy takes it", SOON, async || {
        let ran = gateway.cli(&["backend", "update", "openai", "--concurrency", "4"]).await;
        ran.good();
        let is_told = ran.remarks.contains("every proxy passes it over: the proxy's own settings");
        if is_told && ran.data.contains(" passed over: ") { Ok(()) } else { Err(format!("{ran:?}")) }
    })
    .await;
    let listed = gateway.cli(&["backends", "list"]).await;
    assert!(listed.good().contains("passed over: the proxy's own settings"), "{listed:?}");
    let sources: Vec<Value> = client.get("/backends").await.good()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["source"].clone())
        .collect();
    assert_eq!(sources, [json!("stored"), json!("settings")]);
    client.put("/models/chat", &json!({"replicas": [{"backend": "openai", "model": "fake-model"}]})).await.good();
    until_status(&[client.with_token(None)], "chat", 200).await;
    assert!(stored.asked().is_empty() && !own.asked().is_empty());
    client.delete("/models/chat").await.good();
    client.delete("/backends/openai").await.good();
    let refused = client.delete("/backends/openai").await;
    assert!(refused.status == 409 && refused.text.contains("own settings"), "{refused:?}");
    let used = client.put("/models/at-own", &json!({"replicas": [{"backend": "openai"}]})).await;
    assert_eq!(used.status, 200, "a backend of the settings can be named: {used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_a_proxys_own_file_is_shown_with_all_that_the_file_says_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proxy.toml");
    let text = r#"
        [[backend]]
        name = "big"
        kind = "openai"
        base_url = "http://127.0.0.1:9/v1"
        [[model]]
        name = "chat"
        aliases = ["gpt-4o"]
        replicas = [{ backend = "big", model = "org/m", weight = 2 }]
        fallbacks = ["small"]
        queue = 7
        timeouts = { total_s = 600.0 }
    "#;
    std::fs::write(&file, text).unwrap();
    let gateway = flows::gateway().env("GANTRY_PROXY_FILE", file.to_str().unwrap()).start().await;
    let shown = until("the proxy to tell of its model", SOON, async || {
        let answer = gateway.client.get("/models/chat").await;
        if answer.status == 200 { Ok(answer.json()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let said = json!({
        "source": "settings", "aliases": ["gpt-4o"], "fallbacks": ["small"], "queue": 7,
        "replicas": [{"backend": "big", "model": "org/m", "weight": 2}], "timeouts": {"total_s": 600.0},
    });
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name} of {shown}");
    }
    assert_eq!(shown["proxies"][0]["state"], "in_force");
    let wide = gateway.cli(&["model", "list", "-o", "wide"]).await;
    for word in ["gpt-4o", "big,model=org/m,weight=2", "small", "total=600", "settings"] {
        assert!(wide.good().contains(word), "{word}: {wide:?}");
    }
    let refused = gateway.client.delete("/models/chat").await;
    assert!(refused.status == 409 && refused.text.contains("own settings"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_the_reason_and_writers_at_once_lose_nothing() {
    let gateway = flows::gateway().start().await;
    let client = &gateway.client;
    let good = json!({"kind": "vllm", "base_url": "http://127.0.0.1:9/v1"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (path, body, word) in [
        ("/backends/a", with("kind", json!("vlm")), "none of vllm, ollama"),
        ("/backends/a", with("base_url", json!("nowhere")), "http://host:port/v1"),
        ("/backends/a", with("concurrency", json!(0)), "greater than or equal to 1"),
        ("/backends/a", with("colour", json!("red")), "Extra inputs"),
        ("/backends/a", json!({"base_url": "http://a", "api_key": "hush-hush"}), "Field required"),
        ("/backends/a", with("api_key", json!("hush hush")), "without spaces"),
        ("/backends/a%20b", good.clone(), "letters, digits"),
        ("/models/m", json!({}), "a replica or a fallback"),
        ("/models/m", json!({"replicas": [{"backend": "b", "wieght": 1}]}), "Extra inputs"),
        ("/models/m", json!({"replicas": [{"backend": "b"}]}), "there is no backend 'b'"),
        ("/models/m", json!({"fallbacks": ["x"], "timeouts": {"total_s": 0}}), "greater than or equal to 0.001"),
        ("/models/m", json!({"fallbacks": ["x"], "timeouts": {"all_s": 1}}), "Extra inputs"),
    ] {
        let answer = client.put(path, &body).await;
        assert!(answer.status == 422 && answer.text.contains(word), "{body}: {answer:?}");
        assert!(!answer.text.contains("hush"), "{answer:?}");
    }
    let writing = (0..12).map(|n| {
        let (name, good) = (format!("/backends/b{n}"), good.clone());
        async move { client.put(&name, &good).await.status }
    });
    let written = futures::future::join_all(writing).await;
    assert!(written.iter().all(|status| *status == 200), "{written:?}");
    assert_eq!(client.get("/backends").await.good()["items"].as_array().map(Vec::len), Some(12));

    let seen = client.get("/backends/b0").await.header("etag").to_owned();
    let conditional = async |tag: &str, body: Value| {
        let request = client.request(reqwest::Method::PATCH, "/backends/b0").header("if-match", tag).json(&body);
        Client::send(request).await.unwrap()
    };
    assert_eq!(conditional(&seen, json!({"concurrency": 2})).await.good()["concurrency"], 2);
    let stale = conditional(&seen, json!({"concurrency": 3})).await;
    assert!(stale.status == 412 && stale.text.contains("read it again"), "{stale:?}");
    assert_eq!(conditional("seven", json!({})).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_gateways_token_and_keys_of_the_scope_admin_may_do_it() {
    let gateway = flows::gateway().env("GANTRY_LOCKOUT_AFTER", "100000").start().await;
    let key = async |name: &str, scopes: Value| {
        let made = gateway.client.post("/keys", &json!({"name": name, "scopes": scopes})).await.good();
        gateway.client.with_token(made["key"].as_str())
    };
    let (admin, user) = (key("root", json!(["admin"])).await, key("user", json!(["inference", "models"])).await);
    until("the new key to be known", SOON, async || {
        let answer = admin.get("/backends").await;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let backend = json!({"kind": "vllm", "base_url": "http://127.0.0.1:9/v1"});
    assert_eq!(admin.put("/backends/a", &backend).await.status, 200);
    assert_eq!(admin.put("/models/m", &json!({"replicas": [{"backend": "a"}]})).await.status, 200);
    assert_eq!(admin.get("/runs").await.status, 401, "it opens nothing else");
    assert_eq!(admin.get("/keys").await.status, 401);
    for stranger in [user, gateway.client.with_token(None), gateway.client.with_token(Some("gk_0"))] {
        assert_eq!(stranger.get("/backends").await.status, 401);
        assert_eq!(stranger.put("/backends/a", &backend).await.status, 401);
        assert_eq!(stranger.delete("/models/m").await.status, 401);
    }
    gateway.client.delete("/keys/root").await.good();
    until("the revoked key to open nothing", SOON, async || {
        let answer = admin.get("/backends").await;
        if answer.status == 401 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_alone_serves_it_for_proxies_that_run_apart() {
    let model = FakeModel::start(&[]).await;
    let gateway = Gateway::builder().apart(0).start().await;
    let (_process, other) = gateway.add_proxy("second-proxy").await;
    let client = &gateway.client;
    client.put("/backends/a", &json!({"kind": "openai", "base_url": model.url()})).await.good();
    client.put("/models/far", &json!({"replicas": [{"backend": "a", "model": "fake-model"}]})).await.good();
    until_status(&[other], "far", 200).await;
    until_state(client, "/models/far", 2, "in_force").await;
    let described = client.get("//openapi.json").await.good();
    assert!(described["paths"]["/api/gateway/models/{name}"]["put"].is_object());
}
