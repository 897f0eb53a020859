//! What could not be delivered: kept, shown, sent again; and a channel whose target is gone.

use crate::flows::gateway;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use testkit::{Gateway, SOON, until};

/// A target of webhooks that answers as it is told and counts.
#[derive(Clone)]
struct Target {
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

#[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
async fn target(status: u16) -> (Target, String) {
    let target = Target { status: Arc::new(status.into()), asked: Arc::default() };
    let answer = async |State(target): State<Target>| {
        target.asked.fetch_add(1, Ordering::SeqCst);
        StatusCode::from_u16(target.status.load(Ordering::SeqCst)).unwrap()
    };
    let routes = Router::new().route("/hook/{key}", post(answer)).with_state(target.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/a-key", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (target, url)
}

async fn letters(gateway: &Gateway, count: usize) -> Vec<Value> {
    until(&format!("{count} dead letters"), SOON, async || {
        let found = gateway.client.get("/notices/dead-letters").await.good();
        let items = found["items"].as_array().cloned().unwrap_or_default();
        if items.len() == count { Ok(items) } else { Err(found.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_dead_letter_is_shown_and_sent_again_once_its_channel_is_enabled() {
    let (target, url) = target(410).await;
    let gateway = gateway()
        .env("GANTRY_NOTIFY_WEBHOOKS", &url)
        .env("GANTRY_NOTIFY_ALLOW_TARGETS", "127.0.0.1")
        .env("GANTRY_NOTIFY_GROUP_WINDOW", "0s")
        .start()
        .await;
    gateway.cli(&["notices", "test", "hello"]).await.good();
    let first = letters(&gateway, 1).await.remove(0);
    assert_eq!((&first["kind"], &first["title"]), (&json!("test"), &json!("Gantry test")));
    let id = first["id"].as_str().unwrap();
    let shown = gateway.cli(&["notices", "show", &id[..8], "-o", "json"]).await.json();
    assert_eq!(shown["carried"]["notice"]["text"], "hello");

    let disabled = gateway.client.get("/notices/disabled").await.good();
    let channel = disabled["items"][0]["channel"].as_str().unwrap().to_owned();
    assert!(!disabled.to_string().contains("a-key"), "a target's path may be a key: {disabled}");
    assert!(gateway.cli(&["notices", "targets"]).await.good().contains(&channel));

    target.status.store(200, Ordering::SeqCst);
    gateway.cli(&["notices", "enable", &channel]).await.good();
    gateway.cli(&["notices", "replay", "--all", "--channel", &channel]).await.good();
    letters(&gateway, 0).await;
    until("the second delivery", SOON, async || match target.asked.load(Ordering::SeqCst) {
        2 => Ok(()),
        count => Err(format!("asked {count} times")),
    })
    .await;

    let unknown = gateway.client.post(&format!("/notices/dead-letters/{id}/replay"), &json!({})).await;
    assert_eq!(unknown.refusal(), (404, format!("Dead letter '{id}' not found")));
    assert_eq!(gateway.client.delete(&format!("/notices/dead-letters/{id}")).await.status, 404);
    let again = gateway.client.post(&format!("/notices/disabled/{channel}/enable"), &json!({})).await;
    assert_eq!(again.refusal(), (404, format!("Channel '{channel}' is not disabled")));
    assert_eq!(gateway.cli(&["notices", "show", "zz"]).await.code, 1);
}
