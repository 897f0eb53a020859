//! The profile `llamacpp`, run: both images made without a registry, the gateway and a real model server in containers.

use crate::compose::{Deployment, output, root};
use serde_json::{Value, json};
use std::process::Command;
use testkit::{SOON, free_port, until};

/// The last line that a script prints.
fn script(path: &str, engine: &[(&str, &str)], arguments: &[&str]) -> String {
    let text = output(Command::new(root().join(path)).args(arguments).envs(engine.iter().copied()));
    text.lines().last().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_llamacpp_answers_who_has_the_key() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let engine = script("services/gpu-monitor/tests/get-docker.sh", &[], &[]);
    let on = [("DOCKER_HOST", engine.as_str())];
    script("tests/deploy/llama-image.sh", &on, &["gantry-test-compose-llama:1"]);
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("gantry");
    script("deploy/image.sh", &[on[0], ("PROGRAM", built.to_str().unwrap())], &["gantry-test-compose:1"]);
    let publish = format!("127.0.0.1:{}", free_port());
    let fixtures = root().join("services/proxy/tests/fixtures");
    let deployment = Deployment::new("llamacpp").on(
        &engine,
        &[
            ("GATEWAY_IMAGE", "gantry-test-compose:1"),
            ("GATEWAY_PUBLISH", &publish),
            ("LLAMACPP_IMAGE", "gantry-test-compose-llama:1"),
            ("LLAMACPP_MODELS", fixtures.to_str().unwrap()),
            ("LLAMACPP_MODEL", "tiny-random.gguf"),
        ],
    );
    output(&mut deployment.compose(&["up", "--detach"]));
    let (client, url) = (reqwest::Client::new(), format!("http://{publish}/v1/chat/completions"));
    let body = json!({"max_tokens": 4, "ignore_eos": true, "messages": [{"role": "user", "content": "hi"}]});
    let key = deployment.setting("API_KEYS").unwrap();
    let answer = until("an answer of the model", SOON * 2, async || {
        let sent = client.post(&url).bearer_auth(&key).json(&body).send().await.map_err(|error| error.to_string())?;
        let (status, text) = (sent.status(), sent.text().await.map_err(|error| error.to_string())?);
        if status.is_success() { Ok(text) } else { Err(format!("{status}: {text}")) }
    })
    .await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], 4, "{answer}");
    assert_eq!(client.post(&url).json(&body).send().await.unwrap().status(), 401);
}
