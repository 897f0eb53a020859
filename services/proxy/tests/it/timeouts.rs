//! Each phase has its own time and its own error.

use crate::gateway::{Gateway, PLAIN, STREAM, piece};
use crate::upstream::Upstream;
use proxy::Timeouts;
use serde_json::{Value, json};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(60);

async fn with(upstream: &Upstream, change: fn(&mut Timeouts)) -> Gateway {
    Gateway::with("openai", upstream, |config| change(&mut config.timeouts)).await
}

#[tokio::test]
async fn no_first_token() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = with(&upstream, |timeouts| timeouts.first_token = SHORT).await;
    let reply = gateway.chat(STREAM).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (504, &json!("first_token_timeout")));
    assert_eq!(reply.json()["error"]["type"], json!("timeout_error"));
    upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
}

#[tokio::test]
async fn no_next_token() {
    let upstream = Upstream::silent_after(piece(r#"{"role":"assistant","content":"a"}"#, "null")).await;
    let gateway = with(&upstream, |timeouts| timeouts.between_tokens = SHORT).await;
    let reply = gateway.chat(STREAM).await;
    assert!(!reply.whole);
    let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], json!("between_tokens_timeout"));
    upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
}

#[tokio::test]
async fn too_long_in_all() {
    for (body, sent) in [(PLAIN, String::new()), (STREAM, String::new())] {
        let upstream = Upstream::silent_after(sent).await;
        let gateway = with(&upstream, |timeouts| timeouts.total = SHORT).await;
        let reply = gateway.chat(body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (504, &json!("total_timeout")));
        upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
        gateway.settled().await;
    }
}

#[tokio::test]
async fn too_long_in_all_in_the_middle_of_a_stream() {
    let upstream = Upstream::silent_after(piece(r#"{"role":"assistant","content":"a"}"#, "null")).await;
    let gateway = with(&upstream, |timeouts| timeouts.total = Duration::from_secs(1)).await;
    let reply = gateway.chat(STREAM).await;
    let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
    assert_eq!((reply.whole, &last["error"]["code"]), (false, &json!("total_timeout")));
    gateway.settled().await;
}

#[tokio::test]
async fn too_long_in_the_queue() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.backends[0].concurrency = Some(1);
        config.timeouts.queue = SHORT;
    })
    .await;
    let first = gateway.open("/v1/chat/completions", PLAIN).await;
    upstream.until("was asked", |counts| counts.requests == 1).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &json!("queue_timeout")));
    assert!(reply.header("retry-after").is_some());
    drop(first);
    gateway.settled().await;
}

#[tokio::test]
async fn a_silent_backend_is_bridged_with_comments_and_its_late_error_ends_the_stream() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = with(&upstream, |timeouts| {
        timeouts.keep_alive = Duration::from_millis(20);
        timeouts.first_token = Duration::from_secs(2);
    })
    .await;
    let reply = gateway.chat(STREAM).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().starts_with(": keep-alive\n\n: keep-alive\n\n"), "{}", reply.text());
    assert!(!reply.whole);
    let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], json!("first_token_timeout"));
    gateway.settled().await;
}

#[tokio::test]
async fn comments_also_bridge_a_silence_between_two_tokens() {
    let upstream = Upstream::silent_after(piece(r#"{"role":"assistant","content":"a"}"#, "null")).await;
    let gateway = with(&upstream, |timeouts| {
        timeouts.keep_alive = Duration::from_millis(20);
        timeouts.between_tokens = Duration::from_secs(2);
    })
    .await;
    let reply = gateway.chat(STREAM).await;
    assert!(reply.text().contains("\"a\""));
    assert!(reply.text().contains("}\n\n: keep-alive\n\n"), "{}", reply.text());
}

#[tokio::test]
async fn no_connection() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody takes them, so soon there is no room for another.
    let mut line = Vec::new();
    let connect = || tokio::time::timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(address));
    while let Ok(Ok(stream)) = connect().await {
        line.push(stream);
        assert!(line.len() < 100, "the line has no end");
    }
    let gone = Upstream::of_json("200 OK", "{}").await;
    let gateway = Gateway::with("openai", &gone, |config| {
        config.backends[0].base_url = format!("http://{address}/v1");
        config.timeouts.connect = SHORT;
    })
    .await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (504, &json!("connect_timeout")));
    assert!(reply.text().contains("took no connection"), "{}", reply.text());
    gateway.settled().await;
}
