//! Who gets which backend, and who waits.

use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello};
use crate::upstream::Upstream;
use proxy::{Config, ModelConfig, ReplicaConfig};
use serde_json::json;

fn model(name: &str, backends: &[&str], fallbacks: &[&str]) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        replicas: backends
            .iter()
            .map(|name| ReplicaConfig { backend: (*name).to_owned(), ..ReplicaConfig::default() })
            .collect(),
        fallbacks: fallbacks.iter().map(|name| (*name).to_owned()).collect(),
        ..ModelConfig::default()
    }
}

async fn pair(first: &Upstream, second: &Upstream, models: Vec<ModelConfig>) -> Gateway {
    let backends = vec![backend("a", "openai", first), backend("b", "openai", second)];
    Gateway::start(Config { backends, models, ..Config::default() }).await
}

#[tokio::test]
async fn a_replica_that_fails_before_the_first_byte_is_replaced_by_another() {
    for broken in ["503 Service Unavailable", "502 Bad Gateway", "429 Too Many Requests"] {
        let bad = Upstream::of_json(broken, r#"{"error":{"message":"no"}}"#).await;
        let good = Upstream::of_stream(hello()).await;
        let gateway = pair(&bad, &good, vec![model("m", &["a", "b"], &[])]).await;
        for _ in 0..4 {
            let reply = gateway.chat(STREAM).await;
            assert_eq!((reply.status, reply.text()), (200, hello().as_str()), "{broken}");
        }
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_before_its_first_event_is_replaced_by_another() {
    let bad = Upstream::of_stream("").await;
    let good = Upstream::of_stream(hello()).await;
    let gateway = pair(&bad, &good, vec![model("m", &["a", "b"], &[])]).await;
    for _ in 0..4 {
        assert_eq!(gateway.chat(STREAM).await.text(), hello());
    }
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_not_tried_elsewhere() {
    let strict = Upstream::of_json("400 Bad Request", r#"{"error":{"message":"no"}}"#).await;
    let gateway = pair(&strict, &strict, vec![model("m", &["a", "b"], &[])]).await;
    assert_eq!(gateway.chat(PLAIN).await.status, 400);
    assert_eq!(strict.requests("/v1/chat/completions").len(), 1);
}

#[tokio::test]
async fn a_replica_that_fails_again_and_again_is_left_alone_for_a_while() {
    let bad = Upstream::of_json("503 Service Unavailable", "{}").await;
    let good = Upstream::of_stream(hello()).await;
    let gateway = pair(&bad, &good, vec![model("m", &["a", "b"], &[])]).await;
    let begun = std::time::Instant::now();
    for number in 0..20 {
        let body = STREAM.replace("hi", &format!("prompt {number}"));
        assert_eq!(gateway.chat(&body).await.status, 200);
    }
    // Three failures, and one try more after each second at the earliest.
    let most = 3 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let asked = bad.requests("/v1/chat/completions").len();
    assert!((3..=most).contains(&asked), "{asked} of {most}");
}

#[tokio::test]
async fn a_model_whose_replicas_are_gone_is_served_by_its_fallback() {
    let bad = Upstream::of_json("503 Service Unavailable", "{}").await;
    let good = Upstream::of_stream(hello()).await;
    let gateway = pair(&bad, &good, vec![model("m", &["a"], &["spare"]), model("spare", &["b"], &[])]).await;
    assert_eq!(gateway.chat(STREAM).await.text(), hello());
    let sent: serde_json::Value = serde_json::from_str(good.requests("/v1/chat/completions")[0].text()).unwrap();
    assert_eq!(sent["model"], json!("spare"));
}

#[tokio::test]
async fn a_fallback_that_only_a_list_names_is_asked_for_by_its_own_name() {
    let bad = Upstream::of_json("503 Service Unavailable", "{}").await;
    let good = Upstream::of_stream(hello()).await;
    let gateway = pair(&bad, &good, vec![model("chat", &["a"], &["m"])]).await;
    assert_eq!(gateway.get("/v1/models").await.status, 200);
    for path in ["/v1/chat/completions", "/v1/messages"] {
        assert_eq!(gateway.post(path, &STREAM.replace("\"m\"", "\"chat\"")).await.status, 200);
    }
    let asked = good.requests("/v1/chat/completions");
    for request in asked.iter().chain(&good.requests("/v1/messages")) {
        let sent: serde_json::Value = serde_json::from_str(request.text()).unwrap();
        assert_eq!(sent["model"], json!("m"));
    }
    assert!(!asked.is_empty());
}

#[tokio::test]
async fn requests_with_the_same_beginning_go_to_the_same_replica_and_others_are_spread() {
    let (a, b) = (Upstream::of_stream(hello()).await, Upstream::of_stream(hello()).await);
    let gateway = pair(&a, &b, vec![model("m", &["a", "b"], &[])]).await;
    for _ in 0..6 {
        gateway.chat(STREAM).await;
    }
    let counts = [a.requests("/v1/chat/completions").len(), b.requests("/v1/chat/completions").len()];
    assert!(counts == [6, 0] || counts == [0, 6], "{counts:?}");
    for number in 0..20 {
        gateway.chat(&STREAM.replace("hi", &format!("prompt {number}"))).await;
    }
    assert!(a.requests("/v1/chat/completions").len() >= 8 && b.requests("/v1/chat/completions").len() >= 8);
}

#[tokio::test]
async fn more_requests_than_places_wait_and_more_than_the_queue_holds_are_refused_with_a_time() {
    let upstream = Upstream::start(|_, mut conn| async move {
        conn.hung_up().await;
        None
    })
    .await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.backends[0].concurrency = Some(1);
        config.bounds.queue = 1;
    })
    .await;
    let first = gateway.open("/v1/chat/completions", PLAIN).await;
    upstream.until("was asked", |counts| counts.requests == 1).await;
    let second = gateway.open("/v1/chat/completions", PLAIN).await;
    gateway.until_open(2).await;
    gateway.until_waiting(1).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("queue_full")));
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(upstream.counts().requests, 1);
    drop((first, second));
    gateway.settled().await;
}

#[tokio::test]
async fn one_client_whose_requests_make_a_backend_fail_takes_no_replica_from_the_others() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if seen.text().contains("poison") {
            conn.json("500 Internal Server Error", r#"{"error":{"message":"no"}}"#).await;
        } else {
            conn.json("200 OK", r#"{"choices":[]}"#).await;
        }
        Some(conn)
    })
    .await;
    let idle = Upstream::of_json("200 OK", r#"{"choices":[]}"#).await;
    let gateway = pair(&upstream, &idle, vec![model("m", &["a"], &["spare"]), model("spare", &["b"], &[])]).await;
    for _ in 0..10 {
        assert_eq!(gateway.chat(&PLAIN.replace("hi", "poison")).await.status, 500);
    }
    assert_eq!(gateway.chat(PLAIN).await.status, 200);
    assert!(idle.requests("/v1/chat/completions").is_empty(), "its own replica still serves it");
}
