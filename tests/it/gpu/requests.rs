//! Model requests that start the container they need, keep it while they use it, and are told at once what cannot be.

use crate::gpu::world::World;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{SOON, until};

fn asks(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
}

async fn until_listed(world: &World, model: &str, state: &str) {
    until(&format!("the model {model} to be {state}"), SOON, async || {
        let models = world.client().get("//v1/models").await.good();
        let found = models["data"].as_array().unwrap().iter().find(|one| one["id"] == model).cloned();
        found.filter(|one| one["state"] == state).map(|_| ()).ok_or_else(|| models.to_string())
    })
    .await;
}

#[tokio::test]
async fn the_first_request_starts_the_model_server_and_it_stops_when_nobody_asks_any_more() {
    let mut world = World::start().await;
    let more = json!({
        "idle_timeout_ms": 500, "models": ["on-demand", "alias"], "backend_kind": "llamacpp", "upstream_model": "tiny",
    });
    let name = world.llama(more).await;
    until_listed(&world, "on-demand", "loadable").await;
    assert!(!world.is_running(&name).await, "nobody has asked for it");
    let began = Instant::now();
    let answer = world.client().post("//v1/chat/completions", &asks("alias")).await.good();
    let first = began.elapsed();
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    let status = world.client().get(&format!("//services/{name}")).await.good();
    let start_ms = status["last_start_ms"].as_u64().unwrap();
    println!("the first answer took {} ms, of which the start {start_ms} ms", first.as_millis());
    until_listed(&world, "on-demand", "loaded").await;
    let began = Instant::now();
    world.client().post("//v1/chat/completions", &asks("on-demand")).await.good();
    assert!(began.elapsed() < Duration::from_secs(5), "it was there");
    world.client().until_service(&name, "stopped", |service| service["container_running"] == false).await;
    until_listed(&world, "on-demand", "loadable").await;
}

#[tokio::test]
async fn a_model_that_can_never_fit_is_refused_at_once_with_the_numbers() {
    let mut world = World::start().await;
    world.llama(json!({"vram_gb": 100, "models": ["huge"], "backend_kind": "llamacpp"})).await;
    until_listed(&world, "huge", "loadable").await;
    let refused = world.client().post("//v1/chat/completions", &asks("huge")).await;
    assert_eq!(refused.status, 503);
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "cannot_start", "{error}");
    assert!(error["message"].as_str().unwrap().contains("102400"), "{error}");
}
