//! A server that gives its GPU memory back while nobody uses it, as vLLM does in its developer mode.

use crate::gateway::{Gateway, PLAIN, STREAM, hello};
use crate::upstream::{Seen, Upstream};
use proxy::Config;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

/// A vLLM that can sleep. A request that reaches it asleep gets a 500, which a real one never answers.
async fn sleeper(asleep: &Arc<AtomicBool>) -> Upstream {
    let asleep = Arc::clone(asleep);
    Upstream::start(move |seen: Seen, mut conn| {
        let asleep = Arc::clone(&asleep);
        async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            match seen.path.as_str() {
                "/is_sleeping" => {
                    let told = json!({"is_sleeping": asleep.load(Ordering::SeqCst)});
                    conn.json("200 OK", &told.to_string()).await;
                }
                "/sleep?level=1" => {
                    asleep.store(true, Ordering::SeqCst);
                    conn.json("200 OK", "").await;
                }
                "/wake_up" => {
                    asleep.store(false, Ordering::SeqCst);
                    conn.json("200 OK", "").await;
                }
                _ if asleep.load(Ordering::SeqCst) => conn.json("500 Internal Server Error", "{}").await,
                _ if seen.text().contains("\"stream\":true") => {
                    conn.events().await;
                    conn.chunk(hello().as_bytes()).await;
                    conn.end().await;
                }
                _ => conn.json("200 OK", ANSWER).await,
            }
            Some(conn)
        }
    })
    .await
}

fn quickly(config: &mut Config) {
    config.timeouts.probe = Duration::from_millis(100);
    config.backends[0].sleep_after = Some(Duration::from_millis(200));
}

/// Waits until the proxy says that its backend sleeps, or that it does not.
async fn until_told(gateway: &Gateway, asleep: bool) {
    let begun = Instant::now();
    loop {
        let health = gateway.get("/health").await.json();
        let models = gateway.get("/v1/models").await.json();
        let state = if asleep { "loadable" } else { "loaded" };
        if health["backends"][0]["asleep"] == asleep && models["data"][0]["state"] == state {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{health} {models}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_server_sleeps_and_the_next_requests_wake_it_once() {
    let asleep = Arc::new(AtomicBool::new(false));
    let upstream = sleeper(&asleep).await;
    let gateway = Gateway::watched("vllm", &upstream, quickly).await;
    assert_eq!(gateway.chat(PLAIN).await.status, 200);
    until_told(&gateway, true).await;
    assert!(asleep.load(Ordering::SeqCst), "it was only said");
    let (plain, stream) = tokio::join!(gateway.chat(PLAIN), gateway.chat(STREAM));
    assert_eq!((plain.status, stream.text()), (200, hello().as_str()));
    assert_eq!(upstream.requests("/wake_up").len(), 1);
    gateway.settled().await;
}

#[tokio::test]
async fn no_request_ever_meets_a_server_that_is_being_put_to_sleep() {
    let asleep = Arc::new(AtomicBool::new(false));
    let upstream = sleeper(&asleep).await;
    let gateway = Gateway::watched("vllm", &upstream, |config| {
        config.timeouts.probe = Duration::from_millis(100);
        config.backends[0].sleep_after = Some(Duration::ZERO);
    })
    .await;
    let begun = Instant::now();
    while upstream.requests("/sleep?level=1").len() < 5 {
        assert_eq!(gateway.chat(PLAIN).await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(20), "it never sleeps");
        tokio::task::yield_now().await;
    }
    gateway.settled().await;
}

#[tokio::test]
async fn a_server_that_others_put_to_sleep_is_woken_too() {
    let asleep = Arc::new(AtomicBool::new(true));
    let upstream = sleeper(&asleep).await;
    let gateway =
        Gateway::watched("vllm", &upstream, |config| config.timeouts.probe = Duration::from_millis(100)).await;
    until_told(&gateway, true).await;
    assert_eq!(gateway.chat(PLAIN).await.status, 200);
    until_told(&gateway, false).await;
    assert_eq!(upstream.requests("/sleep?level=1").len(), 0, "nobody told this proxy to put it to sleep");
}

#[tokio::test]
async fn a_server_that_cannot_be_woken_is_an_error_that_says_so() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if !conn.lists_models(&seen).await {
            match seen.path.as_str() {
                "/is_sleeping" => conn.json("200 OK", r#"{"is_sleeping":true}"#).await,
                _ => conn.json("500 Internal Server Error", "{}").await,
            }
        }
        Some(conn)
    })
    .await;
    let gateway =
        Gateway::watched("vllm", &upstream, |config| config.timeouts.probe = Duration::from_millis(100)).await;
    until_told(&gateway, true).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("upstream_unreachable")));
    assert!(reply.text().contains("cannot be woken: /wake_up answered 500"), "{}", reply.text());
}

#[tokio::test]
async fn a_kind_that_cannot_sleep_is_not_told_to() {
    let upstream = Upstream::of_json("200 OK", "{}").await;
    let mut config =
        Config { backends: vec![crate::gateway::backend("one", "ollama", &upstream)], ..Config::default() };
    config.backends[0].sleep_after = Some(Duration::from_secs(1));
    let refused = proxy::Proxy::new(config).err().expect("a refusal").to_string();
    assert!(refused.contains("kind 'ollama' cannot be put to sleep"), "{refused}");
}

#[tokio::test]
async fn a_server_whose_sleep_mode_is_off_goes_on_serving() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if !conn.lists_models(&seen).await {
            match seen.path.as_str() {
                "/v1/chat/completions" => conn.json("200 OK", ANSWER).await,
                _ => conn.json("404 Not Found", r#"{"detail":"Not Found"}"#).await,
            }
        }
        Some(conn)
    })
    .await;
    let gateway = Gateway::watched("vllm", &upstream, quickly).await;
    upstream.until("was told to sleep", |_| !upstream.requests("/sleep?level=1").is_empty()).await;
    until_told(&gateway, false).await;
    assert_eq!(gateway.chat(PLAIN).await.status, 200);
    gateway.settled().await;
}
