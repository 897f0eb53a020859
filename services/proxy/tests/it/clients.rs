//! The official clients understand every answer that the proxy passes on.

use crate::gateway::{Gateway, backend, piece};
use crate::scenarios::{Wanted, scenarios};
use crate::upstream::Upstream;
use proxy::{Capability, Config, ModelConfig, Outcome, ReplicaConfig};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

const INSTALL: &str = "the official clients are missing; run: bash services/proxy/tests/get-clients.sh";

/// The folder with the clients.
pub(crate) fn folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).expect("HOME is set");
    Some(cache.join("gantry/clients")).filter(|folder| folder.join("package.json").is_file()).expect(INSTALL)
}

/// What a client must make of it, as `check.py` reads it.
fn told(name: &str, wanted: &Wanted) -> Value {
    match wanted {
        Wanted::Text(text, finish) => json!({"name": name, "text": text, "finish": finish, "calls": []}),
        Wanted::Calls(calls) => json!({"name": name, "text": "", "finish": "tool_calls", "calls": calls}),
        Wanted::Broken(message) | Wanted::Refused(_, message) => json!({"name": name, "error": message}),
    }
}

/// Replies that are more than a text: how the connection ends, or no stream at all.
fn more() -> Vec<(&'static str, Wanted)> {
    vec![
        ("truncate", Wanted::Broken("broke off")),
        ("json-instead", Wanted::Text("Hello", "stop")),
        ("json-error-200", Wanted::Refused(503, "boom")),
    ]
}

pub(crate) const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

/// A proxy in front of a backend that gives the reply whose name is asked for as a model.
async fn gateway() -> Gateway {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if seen.path == "/v1/models" {
            let names =
                scenarios().into_iter().map(|(name, _, _)| name).chain(more().into_iter().map(|(name, _)| name));
            let names: Vec<Value> = names.map(|name| json!({"id": name})).collect();
            conn.json("200 OK", &json!({"object": "list", "data": names}).to_string()).await;
            return Some(conn);
        }
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        match body["model"].as_str().unwrap() {
            "json-instead" => conn.json("200 OK", ANSWER).await,
            "json-error-200" => conn.json("200 OK", r#"{"error":{"message":"boom","type":"x","code":503}}"#).await,
            "truncate" => {
                conn.events().await;
                conn.chunk(piece(r#"{"role":"assistant","content":"Hel"}"#, "null").as_bytes()).await;
                conn.reset();
                return None;
            }
            name => {
                let text = scenarios().into_iter().find(|(known, _, _)| name == *known).unwrap().1;
                conn.events().await;
                conn.chunk(text.as_bytes()).await;
                conn.end().await;
            }
        }
        Some(conn)
    })
    .await;
    Gateway::with("openai", &upstream, |config| {
        config.backends[0].capabilities = Some(vec![Capability::Chat]);
        config.api_keys = vec!["k".to_owned().into()];
    })
    .await
}

/// Runs a script of `clients/` in front of that proxy.
async fn script(program: PathBuf, script: &str, gateway: &Gateway, input: &str) {
    let mut child = tokio::process::Command::new(program)
        .arg(format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR")))
        .arg(format!("http://{}", gateway.address))
        .env("CLIENTS", folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect(INSTALL);
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(input.as_bytes()).await.unwrap();
    drop(pipe);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    gateway.settled().await;
}

/// Runs a script over all scenarios.
async fn run(program: PathBuf, name: &str) {
    let wanted = scenarios().into_iter().map(|(name, _, wanted)| (name, wanted)).chain(more());
    let wanted: Vec<Value> = wanted.map(|(name, wanted)| told(name, &wanted)).collect();
    script(program, name, &gateway().await, &json!(wanted).to_string()).await;
}

#[tokio::test]
async fn openai_langchain_and_anthropic_for_python_understand_every_known_reply() {
    run(folder().join("python/bin/python"), "check.py").await;
}

#[tokio::test]
async fn openai_for_node_understands_every_known_reply() {
    run("node".into(), "check.mjs").await;
}

/// A backend for requests without a stream. It has the model `m`, and `busy` that it has no time for.
async fn plain_backend() -> Upstream {
    Upstream::start(|seen, mut conn| async move {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let (status, text) = match (seen.path.as_str(), seen.text().contains("tools")) {
            ("/v1/models", _) => {
                ("200 OK", json!({"object": "list", "data": [{"id": "m"}, {"id": "busy"}]}).to_string())
            }
            _ if body["model"] == "busy" => {
                ("429 Too Many Requests", json!({"error": {"message": "later", "code": 429}}).to_string())
            }
            ("/v1/embeddings", _) => {
                let one = json!({"object": "embedding", "index": 0, "embedding": [1.0, -0.5]});
                let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
                ("200 OK", json!({"object": "list", "data": [one], "model": "m", "usage": usage}).to_string())
            }
            ("/v1/completions", _) => {
                let choice = json!({"index": 0, "text": "Hello", "finish_reason": "stop"});
                let answer =
                    json!({"id": "c1", "object": "text_completion", "created": 7, "model": "m", "choices": [choice]});
                ("200 OK", answer.to_string())
            }
            (_, true) => {
                let function = json!({"name": "f", "arguments": "{\"a\":1}"});
                let call = json!({"id": "t1", "type": "function", "function": function});
                let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
                let mut answer: Value = serde_json::from_str(ANSWER).unwrap();
                answer["choices"][0] = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
                ("200 OK", answer.to_string())
            }
            (_, false) => ("200 OK", ANSWER.to_owned()),
        };
        conn.json(status, &text).await;
        Some(conn)
    })
    .await
}

/// A proxy in front of it, and of one that only chats, with the model `bare`.
async fn plain_gateway(upstream: &Upstream, bare: &Upstream) -> Gateway {
    let mut chats = backend("two", "tgi", bare);
    chats.capabilities = Some(vec![Capability::Chat]);
    // A kind whose embeddings are numbers, whatever its client asks for.
    let backends = vec![backend("one", "ollama", upstream), chats];
    let models = [("m", "one"), ("bare", "two"), ("busy", "one")].map(|(name, backend)| ModelConfig {
        name: name.to_owned(),
        replicas: vec![ReplicaConfig { backend: backend.to_owned(), ..ReplicaConfig::default() }],
        ..ModelConfig::default()
    });
    let keys = vec!["k".to_owned().into()];
    Gateway::start(Config { backends, models: models.into(), api_keys: keys, ..Config::default() }).await
}

async fn run_plain(program: PathBuf, name: &str) {
    let (upstream, bare) = (plain_backend().await, Upstream::of_json("200 OK", ANSWER).await);
    let gateway = plain_gateway(&upstream, &bare).await;
    script(program, name, &gateway, "").await;
    assert_eq!(bare.requests("/v1/embeddings").len(), 0, "what a backend cannot do it is not asked for");
    let refused = gateway
        .accounts
        .all()
        .into_iter()
        .filter(|usage| usage.outcome == Outcome::Failed("capability_not_supported".to_owned()));
    assert_eq!(refused.count(), 1, "a request that is refused for good was repeated");
    let busy = upstream.requests("/v1/chat/completions");
    let busy = busy.iter().filter(|seen| seen.text().contains("\"busy\""));
    assert_eq!(busy.count(), 2, "a client that may try once more does so once");
}

#[tokio::test]
async fn openai_langchain_and_anthropic_for_python_understand_every_plain_answer_and_error() {
    run_plain(folder().join("python/bin/python"), "plain.py").await;
}

#[tokio::test]
async fn openai_for_node_understands_every_plain_answer_and_error() {
    run_plain("node".into(), "plain.mjs").await;
}
