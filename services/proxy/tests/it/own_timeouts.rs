//! A model's own times hold for its requests, each with its own error, and for nobody else's.

use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello, piece};
use crate::upstream::Upstream;
use proxy::{Config, ModelConfig, ModelTimeouts, ReplicaConfig};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What the error says of the time that was over.
const SHORT: f64 = 0.06;

fn model(name: &str, at: &str, fallbacks: &[&str], timeouts: ModelTimeouts) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        replicas: vec![ReplicaConfig { backend: at.to_owned(), ..ReplicaConfig::default() }],
        fallbacks: fallbacks.iter().map(|name| (*name).to_owned()).collect(),
        timeouts,
        ..ModelConfig::default()
    }
}

/// In front of one backend, with a model `m` of its own times. All others are as long as by default.
async fn with(kind: &str, upstream: &Upstream, change: fn(&mut ModelTimeouts)) -> Gateway {
    let mut timeouts = ModelTimeouts::default();
    change(&mut timeouts);
    Gateway::with(kind, upstream, |config| config.models = vec![model("m", "one", &[], timeouts)]).await
}

/// A server that takes no connection: its queue of connections is full.
async fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let (address, mut held) = (listener.local_addr().unwrap(), Vec::new());
    for _ in 0..64 {
        match tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            Ok(taken) => held.push(taken.unwrap()),
            Err(_) => return (listener, held),
        }
    }
    panic!("{} connections are taken, and none of them was accepted", held.len());
}

fn failure(reply: &crate::client::Reply) -> (u16, Value) {
    (reply.status, reply.json()["error"]["code"].clone())
}

fn says(reply: &crate::client::Reply, seconds: f64) -> bool {
    reply.text().contains(&format!("{seconds} s"))
}

/// Asks a server at that URL, which takes no connection in time.
async fn takes_no_connection(url: String) {
    let upstream = Upstream::start(|_, _| async { None }).await;
    let mut away = backend("away", "openai", &upstream);
    away.base_url = url;
    let timeouts = ModelTimeouts { connect_s: Some(SHORT), ..ModelTimeouts::default() };
    let config = Config { backends: vec![away], models: vec![model("m", "away", &[], timeouts)], ..Config::default() };
    let gateway = Gateway::start(config).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!(failure(&reply), (504, json!("connect_timeout")));
    assert!(says(&reply, SHORT), "{}", reply.text());
    gateway.settled().await;
}

#[tokio::test]
async fn to_connect() {
    let (listener, _held) = deaf().await;
    takes_no_connection(format!("http://{}/v1", listener.local_addr().unwrap())).await;
}

#[tokio::test]
async fn to_connect_to_a_server_that_never_answers_in_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    takes_no_connection(format!("https://{}/v1", listener.local_addr().unwrap())).await;
}

#[tokio::test]
async fn in_the_queue() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.backends[0].concurrency = Some(1);
        let timeouts = ModelTimeouts { queue_s: Some(SHORT), ..ModelTimeouts::default() };
        config.models = vec![model("m", "one", &[], timeouts)];
    })
    .await;
    let first = gateway.open("/v1/chat/completions", PLAIN).await;
    upstream.until("was asked", |counts| counts.requests == 1).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!(failure(&reply), (503, json!("queue_timeout")));
    assert!(says(&reply, SHORT), "{}", reply.text());
    drop(first);
    gateway.settled().await;
}

#[tokio::test]
async fn to_wake_up() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        if seen.path == "/is_sleeping" {
            conn.json("200 OK", r#"{"is_sleeping":true}"#).await;
            return Some(conn);
        }
        conn.hung_up().await;
        None
    })
    .await;
    let gateway = with("vllm", &upstream, |timeouts| timeouts.start_s = Some(SHORT)).await;
    // A look tells that it sleeps.
    assert_eq!(gateway.get("/v1/models").await.status, 200);
    let reply = gateway.chat(PLAIN).await;
    assert_eq!(failure(&reply), (502, json!("upstream_unreachable")));
    assert!(reply.text().contains(&format!("not awake within {SHORT} s")), "{}", reply.text());
    gateway.settled().await;
}

#[tokio::test]
async fn to_the_first_token() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = with("openai", &upstream, |timeouts| timeouts.first_token_s = Some(SHORT)).await;
    let reply = gateway.chat(STREAM).await;
    assert_eq!(failure(&reply), (504, json!("first_token_timeout")));
    assert!(says(&reply, SHORT), "{}", reply.text());
    upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
}

#[tokio::test]
async fn between_tokens() {
    let upstream = Upstream::silent_after(piece(r#"{"role":"assistant","content":"a"}"#, "null")).await;
    let gateway = with("openai", &upstream, |timeouts| timeouts.between_tokens_s = Some(SHORT)).await;
    let reply = gateway.chat(STREAM).await;
    assert!(!reply.whole);
    let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], json!("between_tokens_timeout"));
    gateway.settled().await;
}

#[tokio::test]
async fn in_all() {
    for body in [PLAIN, STREAM] {
        let upstream = Upstream::silent_after(String::new()).await;
        let gateway = with("openai", &upstream, |timeouts| timeouts.total_s = Some(SHORT)).await;
        let reply = gateway.chat(body).await;
        assert_eq!(failure(&reply), (504, json!("total_timeout")));
        assert!(says(&reply, SHORT), "{}", reply.text());
        gateway.settled().await;
    }
}

#[tokio::test]
async fn in_all_counts_from_the_arrival_of_a_request_whose_body_comes_late() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = with("openai", &upstream, |timeouts| timeouts.total_s = Some(0.3)).await;
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        PLAIN.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), gateway.until_open(1)).await.unwrap();
    // Once one that came later has had all its time, the first one has too, although nobody knew its model until now.
    assert_eq!(failure(&gateway.chat(PLAIN).await), (504, json!("total_timeout")));
    slow.write_all(PLAIN.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut slow, &mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 504 ") && text.contains("total_timeout"), "{text}");
    assert_eq!(upstream.counts().requests, 1, "it was over before anybody was asked");
    gateway.settled().await;
}

#[tokio::test]
async fn a_fallback_has_times_of_its_own_within_the_total_of_the_model_that_was_named() {
    let silent = Upstream::silent_after(String::new()).await;
    let slow = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        tokio::time::sleep(Duration::from_secs_f64(3.0 * SHORT)).await;
        conn.events().await;
        conn.chunk(hello().as_bytes()).await;
        conn.end().await;
        Some(conn)
    })
    .await;
    let named = ModelTimeouts { first_token_s: Some(SHORT), ..ModelTimeouts::default() };
    let start = async |named: ModelTimeouts, fallback: ModelTimeouts| {
        let backends = vec![backend("a", "openai", &silent), backend("b", "openai", &slow)];
        let models = vec![model("m", "a", &["n"], named), model("n", "b", &[], fallback)];
        Gateway::start(Config { backends, models, ..Config::default() }).await
    };
    // Who waits in vain for the model's first token is served by the fallback, in the time that the fallback has.
    let gateway = start(named, ModelTimeouts::default()).await;
    let reply = gateway.chat(STREAM).await;
    assert_eq!((reply.status, reply.text()), (200, hello().as_str()));
    silent.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;

    let short = ModelTimeouts { total_s: Some(SHORT), ..ModelTimeouts::default() };
    let long = ModelTimeouts { total_s: Some(600.0), ..ModelTimeouts::default() };
    let gateway = start(short, long).await;
    let reply = gateway.chat(STREAM).await;
    assert_eq!(failure(&reply), (504, json!("total_timeout")));
    assert!(says(&reply, SHORT), "{}", reply.text());
    gateway.settled().await;
}

#[tokio::test]
async fn who_waits_in_vain_for_a_first_token_does_not_wait_for_another_replica_too() {
    let (a, b) = (Upstream::silent_after(String::new()).await, Upstream::silent_after(String::new()).await);
    let timeouts = ModelTimeouts { first_token_s: Some(SHORT), ..ModelTimeouts::default() };
    let mut both = model("m", "a", &[], timeouts);
    both.replicas.push(ReplicaConfig { backend: "b".to_owned(), ..ReplicaConfig::default() });
    let backends = vec![backend("a", "openai", &a), backend("b", "openai", &b)];
    let gateway = Gateway::start(Config { backends, models: vec![both], ..Config::default() }).await;
    assert_eq!(failure(&gateway.chat(STREAM).await), (504, json!("first_token_timeout")));
    assert_eq!(a.requests("/v1/chat/completions").len() + b.requests("/v1/chat/completions").len(), 1);
    gateway.settled().await;
}

#[tokio::test]
async fn who_waits_in_vain_in_the_queue_is_served_by_the_fallback() {
    let (silent, good) = (Upstream::silent_after(String::new()).await, Upstream::of_stream(hello()).await);
    let mut busy = backend("a", "openai", &silent);
    busy.concurrency = Some(1);
    let timeouts = ModelTimeouts { queue_s: Some(SHORT), ..ModelTimeouts::default() };
    let models = vec![model("m", "a", &["n"], timeouts), model("n", "b", &[], ModelTimeouts::default())];
    let backends = vec![busy, backend("b", "openai", &good)];
    let gateway = Gateway::start(Config { backends, models, ..Config::default() }).await;
    let first = gateway.open("/v1/chat/completions", STREAM).await;
    silent.until("was asked", |counts| counts.requests == 1).await;
    let reply = gateway.chat(STREAM).await;
    assert_eq!((reply.status, reply.text()), (200, hello().as_str()));
    drop(first);
    gateway.settled().await;
}

#[tokio::test]
async fn nobody_else() {
    let upstream = Upstream::silent_after(String::new()).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.timeouts.first_token = Duration::from_millis(250);
        let timeouts = ModelTimeouts { first_token_s: Some(SHORT), ..ModelTimeouts::default() };
        config.models = vec![model("m", "one", &[], timeouts), model("n", "one", &[], ModelTimeouts::default())];
    })
    .await;
    let other = STREAM.replace("\"m\"", "\"n\"");
    for (body, seconds) in [(STREAM, SHORT), (other.as_str(), 0.25)] {
        let reply = gateway.chat(body).await;
        assert_eq!(failure(&reply), (504, json!("first_token_timeout")));
        assert!(says(&reply, seconds), "{}", reply.text());
    }
    gateway.settled().await;
}
