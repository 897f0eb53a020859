//! Model traffic on the gateway's one port: what pages may, what whoever runs it sees, and what stands in its log.

use crate::flows;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, FakeModel, Gateway, SOON, until};

const CHAT: &str = "//v1/chat/completions";

fn question(text: &str) -> Value {
    json!({"model": "fake-model", "messages": [{"role": "user", "content": text}]})
}

async fn from(gateway: &Gateway, method: Method, origin: &str) -> Answer {
    let request = gateway.client.request(method, CHAT).header("origin", origin);
    Client::send(request.header("access-control-request-method", "POST").json(&question("hi"))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_elsewhere_neither_uses_nor_reads_a_model_without_a_key_unless_its_origin_was_named() {
    let model = FakeModel::start(&[]).await;
    let allowed = "https://chat.example";
    let builder = flows::gateway().model(&model).env("GANTRY_PROXY_CORS_ORIGINS", allowed);
    let gateway = builder.start().await;
    let refused = from(&gateway, Method::POST, "https://evil.example").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("origin_not_allowed")));
    assert_eq!(refused.headers.get("access-control-allow-origin"), None);
    assert!(model.asked().is_empty());
    // A page of this machine may use it; to read the answer its origin must be named, too.
    for (origin, named) in [("http://localhost:3000", false), (allowed, true)] {
        for method in [Method::POST, Method::OPTIONS] {
            let answer = from(&gateway, method.clone(), origin).await;
            assert!(answer.status < 300, "{origin}: {answer:?}");
            assert_eq!(answer.headers.contains_key("access-control-allow-origin"), named, "{method} {origin}");
        }
    }
    assert_eq!(model.asked().len(), 2);
    let forwarded = gateway.client.request(Method::POST, CHAT).header("x-forwarded-for", "10.0.0.7");
    let behind = Client::send(forwarded.json(&question("hi"))).await.unwrap();
    assert_eq!((behind.status, &behind.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    assert!(gateway.api.log_text().contains("no API key is configured"), "it says so at its start");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_port_says_that_it_lives_and_what_its_model_traffic_holds() {
    let model = FakeModel::start(&[]).await;
    let gateway = flows::gateway().model(&model).start().await;
    gateway.client.post(CHAT, &question("hi")).await.good();
    assert_eq!(gateway.client.with_token(None).get("//livez").await.status, 200);
    let lines = [
        "gantry_proxy_permits_leaked 0",
        "gantry_proxy_permits_held 0",
        "gantry_proxy_open_requests 0",
        "gantry_proxy_backend_healthy{backend=\"openai\"} 1",
    ];
    until("the backend to have been looked at", SOON, async || {
        let metrics = gateway.client.with_token(None).get("//metrics").await.text;
        let told = |line: &&str| metrics.lines().any(|told| told == *line);
        if lines.iter().all(told) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_below_v1_gets_the_envelope_on_the_one_port_too() {
    let gateway = flows::gateway().start().await;
    for path in [CHAT, "//v1/messages"] {
        let answer = gateway.client.get(path).await;
        assert_eq!(answer.status, 405, "{answer:?}");
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("GET")), "{answer:?}");
        assert!(answer.headers.contains_key("x-request-id"), "{answer:?}");
    }
}

/// The lines of the access log about the request of that id.
async fn lines(gateway: &Gateway, id: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} lines about '{id}'"), SOON, async || {
        let text = gateway.api.log_text();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<Value> =
            lines.filter(|line| line["target"] == "chat_api.http" && line["request_id"] == id).collect();
        if lines.len() >= count { Ok(lines) } else { Err(text) }
    })
    .await
}

async fn ask(gateway: &Gateway, id: &str, method: Method, path: &str, body: &Value) {
    Client::send(gateway.client.request(method, path).header("x-request-id", id).json(body)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_line_of_json_with_its_id_and_status_and_without_its_prompt_unless_that_is_asked_for() {
    let model = FakeModel::start(&[]).await;
    let gateway = flows::gateway().model(&model).start().await;
    let nobody = json!({"model": "nobody", "messages": []});
    for (id, method, path, body, status) in [
        ("whole", Method::POST, "/v1/chat/completions", &question("a secret"), 200),
        ("unknown", Method::POST, "/v1/chat/completions", &nobody, 404),
        ("models", Method::GET, "/v1/models", &nobody, 200),
        ("nothing", Method::GET, "/v1/nothing", &nobody, 404),
        ("method", Method::GET, "/v1/embeddings", &nobody, 405),
        ("job", Method::GET, "/v1/jobs/job_1", &nobody, 404),
    ] {
        ask(&gateway, id, method.clone(), &format!("/{path}"), body).await;
        let [line] = lines(&gateway, id, 1).await.try_into().unwrap();
        let told = (&line["method"], &line["path"], &line["status"]);
        assert_eq!(told, (&json!(method.as_str()), &json!(path), &json!(status)), "{line}");
        assert_eq!(line["error"].is_string(), status >= 400, "{line}");
    }
    let [line] = lines(&gateway, "whole", 1).await.try_into().unwrap();
    assert_eq!(
        (&line["model"], &line["tokens_in"], &line["outcome"]),
        (&json!("fake-model"), &json!(10), &json!("completed"))
    );
    assert!(!gateway.api.log_text().contains("a secret"));

    let telling = flows::gateway().model(&model).env("GANTRY_PROXY_LOG_PROMPTS", "true").start().await;
    ask(&telling, "told", Method::POST, CHAT, &question("no secret")).await;
    let told = lines(&telling, "told", 2).await;
    let prompt = told.iter().find_map(|line| line["prompt"].as_str()).unwrap();
    assert!(prompt.contains("no secret"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_outlast_a_stop_in_order_are_told_so_and_are_not_taken_for_their_clients_leaving() {
    let model = FakeModel::start(&[]).await;
    let builder = flows::gateway().model(&model).env("GANTRY_SHUTDOWN_S", "4").env("GANTRY_PROXY_KEEP_ALIVE_S", "0.2");
    let mut gateway = builder.start().await;
    let (mut proxy, second) = gateway.add_proxy("second").await;
    model.hold();
    let mut streamed = question("hi");
    streamed["stream"] = json!(true);
    for client in [gateway.client.clone(), second] {
        let place = model.asked().len();
        let (whole, stream) = (question("hi"), client.request(Method::POST, CHAT).json(&streamed));
        let asked = async {
            model.until_asked(place + 2).await;
            if place == 0 { gateway.api.stop().await } else { proxy.stop().await }
        };
        let (answer, stream, ended) = tokio::join!(client.post(CHAT, &whole), stream.send(), asked);
        assert!(ended.success(), "{ended}");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("gateway_stopping")), "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
        let (mut stream, mut said) = (stream.unwrap(), String::new());
        let cut = loop {
            match stream.chunk().await {
                Ok(Some(piece)) => said.push_str(&String::from_utf8_lossy(&piece)),
                ended => break ended,
            }
        };
        assert!(said.contains("gateway_stopping") && !said.contains("[DONE]") && cut.is_err(), "{said}");
    }
    let log = gateway.api.log_text();
    assert!(log.contains("\"outcome\":\"gateway_stopping\"") && !log.contains("\"outcome\":\"aborted\""), "{log}");
}
