//! Model requests that start the container they need, keep it while they use it, and are told at once what cannot be.

use crate::gpu::world::World;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{Client, FakeModel, GPU_MB, SOON, until};

fn asks(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
}

async fn until_listed(client: &Client, model: &str, state: &str) {
    until(&format!("the model {model} to be {state}"), SOON, async || {
        let models = client.get("//v1/models").await.good();
        let found = models["data"].as_array().unwrap().iter().find(|one| one["id"] == model).cloned();
        found.filter(|one| one["state"] == state).map(|_| ()).ok_or_else(|| models.to_string())
    })
    .await;
}

#[tokio::test]
async fn the_first_request_starts_the_model_server_and_it_stops_when_nobody_asks_any_more() {
    let mut world = World::start().await;
    let more = json!({
        "idle_timeout_ms": 5_000, "models": ["on-demand", "alias"], "backend_kind": "llamacpp", "upstream_model": "tiny",
    });
    let name = world.llama(more).await;
    until_listed(world.client(), "on-demand", "loadable").await;
    let entry = json!({"aliases": ["gpt-4o"], "timeouts": {"start_s": 60}});
    world.client().put("/models/on-demand", &entry).await.good();
    until_listed(world.client(), "gpt-4o", "loadable").await;
    assert!(!world.is_running(&name).await, "nobody has asked for it");
    let began = Instant::now();
    let answer = world.client().post("//v1/chat/completions", &asks("gpt-4o")).await.good();
    let first = began.elapsed();
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    let status = world.client().get(&format!("//services/{name}")).await.good();
    let start_ms = status["last_start_ms"].as_u64().unwrap();
    println!("the first answer took {} ms, of which the start {start_ms} ms", first.as_millis());
    until_listed(world.client(), "gpt-4o", "loaded").await;
    let began = Instant::now();
    for model in ["on-demand", "alias"] {
        world.client().post("//v1/chat/completions", &asks(model)).await.good();
    }
    assert!(began.elapsed() < Duration::from_secs(5), "it was there");
    world.client().until_service(&name, "stopped", |service| service["container_running"] == false).await;
    until_listed(world.client(), "on-demand", "loadable").await;
}

#[tokio::test]
async fn a_model_that_can_never_fit_is_refused_at_once_with_the_numbers_or_served_by_its_fallback() {
    let small = FakeModel::start(&[]).await;
    let mut world = World::with(|builder| builder.model(&small)).await;
    world.llama(json!({"vram_gb": 100, "models": ["huge"], "backend_kind": "llamacpp"})).await;
    until_listed(world.client(), "huge", "loadable").await;
    let refused = world.client().post("//v1/chat/completions", &asks("huge")).await;
    assert_eq!(refused.status, 503);
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "cannot_start", "{error}");
    assert!(error["message"].as_str().unwrap().contains("102400"), "{error}");
    world.client().put("/models/huge", &json!({"fallbacks": ["fake-model"]})).await.good();
    until("the fallback to serve", SOON, async || {
        let answer = world.client().post("//v1/chat/completions", &asks("huge")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(small.asked().len(), 1);
}

/// A service for one model that needs more than half of the GPU, so that no two of them fit.
fn large(model: &str) -> Value {
    json!({"vram_gb": GPU_MB * 5 / 8 / 1_024, "models": [model], "min_runtime_ms": 0})
}

#[tokio::test]
async fn two_models_that_do_not_fit_together_take_turns_and_every_request_is_answered() {
    let mut world = World::start().await;
    let mut names = Vec::new();
    for model in ["left", "right"] {
        let mut more = large(model);
        more.as_object_mut()
            .unwrap()
            .extend(json!({"backend_kind": "llamacpp", "upstream_model": "tiny"}).as_object().cloned().unwrap());
        names.push(world.llama(more).await);
        until_listed(world.client(), model, "loadable").await;
    }
    let ask = async |number: usize| {
        let began = Instant::now();
        let model = ["left", "right"][number % 2];
        let answer = world.client().post("//v1/chat/completions", &asks(model)).await.good();
        assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
        println!("request {number} took {} ms", began.elapsed().as_millis());
    };
    // One after the other, each of which needs the other one to go; then all at once.
    for number in 0..4 {
        ask(number).await;
        assert!(world.is_running(&names[number % 2]).await && !world.is_running(&names[(number + 1) % 2]).await);
    }
    let together = async {
        futures::future::join_all((0..12).map(ask)).await;
    };
    let never_both = async {
        loop {
            let [left, right] = [&names[0], &names[1]];
            // Looked at one after the other, so twice at the first.
            let both = world.is_running(left).await && world.is_running(right).await && world.is_running(left).await;
            assert!(!both, "both run");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = together => {} () = never_both => {} }
}

#[tokio::test]
async fn what_a_killed_proxy_waited_for_is_not_started_and_another_proxy_is_served() {
    let each = |builder: testkit::Builder| builder.apart(0).schedulers(1).env("GANTRY_PROXY_KEEP_ALIVE_S", "0.1");
    let mut world = World::with(each).await;
    let (mut first, first_client) = world.gateway.add_proxy("first").await;
    let (_second, second_client) = world.gateway.add_proxy("second").await;
    let used = world.service("used", &["work=14000"], large("used")).await;
    let wanted = world.service("wanted", &[], large("wanted")).await;
    until_listed(&second_client, "used", "loadable").await;
    until_listed(&first_client, "wanted", "loadable").await;
    let body = asks("used");
    let long = second_client.post("//v1/chat/completions", &body);
    let killed = async {
        world.client().until_service(&used, "running", |service| service["healthy"] == true).await;
        let mut waits = asks("wanted");
        waits["stream"] = json!(true);
        let request = first_client.request(reqwest::Method::POST, "//v1/chat/completions").json(&waits);
        let (mut stream, mut said) = (request.send().await.unwrap(), String::new());
        while !said.contains(&used) {
            let piece = stream.chunk().await.unwrap().expect("it waits");
            said.push_str(&String::from_utf8_lossy(&piece));
            assert!(!said.contains("data:"), "it waits for room: {said}");
        }
        first.kill9().await;
        let cut = loop {
            match stream.chunk().await {
                Ok(Some(_)) => {}
                ended => break ended,
            }
        };
        assert!(cut.is_err(), "a stream that was cut does not look whole");
    };
    let (answer, ()) = tokio::join!(long, killed);
    answer.good();
    assert!(!world.is_running(&wanted).await, "whoever waited for it is gone");
    second_client.post("//v1/chat/completions", &asks("wanted")).await.good();
    assert!(world.is_running(&wanted).await && !world.is_running(&used).await, "who asks now has it");
}
