//! The security layer over the wire, in the order of its checks.

use crate::flows::{gateway, start, started};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Answer, Client, SOON, TOKEN, until};

async fn from(client: &Client, origin: &str) -> Answer {
    Client::send(client.request(Method::GET, "/me").header("origin", origin)).await.unwrap()
}

#[tokio::test]
async fn without_a_right_token_there_is_a_401_and_nothing_else() {
    let gateway = gateway().start().await;
    for token in [None, Some("wrong"), Some("")] {
        let refused = gateway.client.with_token(token).get("/me").await;
        assert_eq!(refused.refusal(), (401, "Unauthorized".to_owned()));
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        assert_eq!(refused.header("content-type"), "application/json; charset=utf-8");
        assert_eq!(refused.header("x-request-id").len(), 32);
    }
    let request =
        gateway.client.with_token(None).request(Method::GET, "/me").header("authorization", format!("bEaReR {TOKEN}"));
    Client::send(request).await.unwrap().good();
}

#[tokio::test]
async fn a_page_from_elsewhere_is_refused_before_its_token_is_looked_at() {
    let gateway = gateway().start().await;
    let evil = "https://evil.example";
    for client in [gateway.client.clone(), gateway.client.with_token(None)] {
        let refused = from(&client, evil).await;
        assert_eq!(refused.refusal(), (403, "Forbidden (origin not allowed)".to_owned()));
        assert_eq!(refused.header("access-control-allow-origin"), evil);
        assert_eq!(refused.header("access-control-allow-credentials"), "true");
    }
    let home = from(&gateway.client, "http://localhost:5173").await;
    assert_eq!((home.status, home.header("access-control-allow-origin")), (200, "http://localhost:5173"));
    let preflight = gateway.client.with_token(None).request(Method::OPTIONS, "/runs/start");
    let preflight = preflight.header("origin", evil).header("access-control-request-method", "POST");
    let answer = Client::send(preflight).await.unwrap();
    assert_eq!((answer.status, answer.text.as_str(), answer.header("access-control-max-age")), (200, "OK", "600"));
}

#[tokio::test]
async fn guessing_locks_the_address_out_even_with_the_right_token_and_only_for_a_while() {
    let gateway = gateway().env("GANTRY_LOCKOUT_AFTER", "3").env("GANTRY_LOCKOUT_BASE_S", "5").start().await;
    let wrong = gateway.client.with_token(Some("wrong"));
    assert_eq!([wrong.get("/me").await.status, wrong.get("/me").await.status], [401, 401]);
    let locked = wrong.get("/me").await;
    assert_eq!(locked.refusal(), (429, "Too Many Requests (auth lockout)".to_owned()));
    assert_eq!(locked.header("retry-after"), "5");
    assert_eq!(gateway.client.get("/me").await.status, 429);
    until("the lockout to end", SOON, async || {
        let answer = gateway.client.get("/me").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_both_numbers() {
    let gateway = gateway().start().await;
    // Far more than fits between the two: the answer has to reach a client that is still sending.
    let body = Value::from("x".repeat(1_000_000)).to_string();
    let request = gateway.client.request(Method::POST, "/runs/start").header("content-type", "application/json");
    let refused = Client::send(request.body(body.clone())).await.unwrap();
    let detail = format!("Payload Too Large ({} bytes > 256000 bytes)", body.len());
    assert_eq!(refused.refusal(), (413, detail));
    let pieces = futures::stream::iter(vec![body; 3]).map(Ok::<_, std::io::Error>);
    let chunked = gateway.client.request(Method::POST, "/runs/start").header("content-type", "application/json");
    let refused = Client::send(chunked.body(reqwest::Body::wrap_stream(pieces))).await.unwrap();
    assert_eq!(refused.status, 413, "a body without a length is counted: {}", refused.text);
}

#[tokio::test]
async fn streams_have_a_pool_of_their_own_and_leave_it_when_they_end() {
    let gateway = started(gateway().env("GANTRY_MAX_SSE", "2")).await;
    let client = &gateway.client;
    let run = start(client, "ask", json!({})).await;
    client.until_status(&run, "waiting").await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = client.stream(&run, "", None).await.unwrap();
        stream.next().await.unwrap();
        open.push(stream);
    }
    let full = client.get(&format!("/runs/{run}/ledger/stream")).await;
    assert_eq!(full.refusal(), (429, "Too Many Requests (concurrency limit)".to_owned()));
    assert_eq!(full.header("retry-after"), "1");
    client.get("/me").await.good();
    open.pop();
    until("a place in the pool", SOON, async || client.stream(&run, "", None).await.map(|_| ())).await;
}

#[tokio::test]
async fn every_write_is_in_the_audit_log_the_refused_ones_too() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let request = client.request(Method::POST, "/commands").header("x-request-id", "seen").json(&json!({}));
    assert_eq!(Client::send(request).await.unwrap().status, 422);
    client.with_token(None).post("/runs/start", &json!({})).await;
    let lines = until("two lines of the audit log", SOON, async || {
        let tail = client.get("/audit/tail?max_bytes=400000").await.good();
        assert_eq!(crate::flows::keys(&tail), ["ok", "bytes", "truncated", "content"]);
        let content = tail["content"].as_str().unwrap().to_owned();
        let lines: Vec<Value> = content.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let both = [422, 401].iter().all(|status| lines.iter().any(|line| line["status"] == *status));
        if both { Ok(lines) } else { Err(content) }
    })
    .await;
    let seen = lines.iter().find(|line| line["request_id"] == "seen").unwrap();
    assert_eq!((&seen["method"], &seen["path"]), (&json!("POST"), &json!("/api/gateway/commands")));
    let text = lines.iter().map(Value::to_string).collect::<String>();
    assert!(!text.contains(TOKEN), "the log holds a token");
}

#[tokio::test]
async fn a_newcomer_needs_no_token_of_their_own() {
    let gateway = testkit::Gateway::builder().env("GANTRY_TOKEN", "").start().await;
    assert!(gateway.api.log_text().contains("its token is in "), "{}", gateway.api.log_text());
    let path = gateway.data_dir().join("auth/token");
    let token = std::fs::read_to_string(&path).unwrap();
    gateway.client.with_token(Some(token.trim())).get("/me").await.good();
    assert_eq!(gateway.client.get("/me").await.status, 401);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), gateway.client.with_token(None).get("//api/health")).await.is_ok()
    );
}
