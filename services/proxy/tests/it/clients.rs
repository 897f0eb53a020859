//! The official clients understand every answer that the proxy passes on.

use crate::gateway::Gateway;
use crate::scenarios::{Wanted, scenarios};
use crate::upstream::Upstream;
use proxy::Capability;
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

/// A proxy in front of a backend that gives the reply whose name is asked for as a model.
async fn gateway() -> Gateway {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if seen.path == "/v1/models" {
            let names: Vec<Value> = scenarios().iter().map(|(name, _, _)| json!({"id": name})).collect();
            conn.json("200 OK", &json!({"object": "list", "data": names}).to_string()).await;
            return Some(conn);
        }
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let text = scenarios().into_iter().find(|(name, _, _)| body["model"] == **name).unwrap().1;
        conn.events().await;
        conn.chunk(text.as_bytes()).await;
        conn.end().await;
        Some(conn)
    })
    .await;
    Gateway::with("openai", &upstream, |config| {
        config.backends[0].capabilities = Some(vec![Capability::Chat]);
        config.api_keys = vec!["k".to_owned().into()];
    })
    .await
}

/// Runs a script of `clients/` over all scenarios.
async fn run(program: PathBuf, script: &str) {
    let gateway = gateway().await;
    let wanted: Vec<Value> = scenarios().iter().map(|(name, _, wanted)| told(name, wanted)).collect();
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
    let mut input = child.stdin.take().unwrap();
    input.write_all(json!(wanted).to_string().as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    gateway.settled().await;
}

#[tokio::test]
async fn openai_langchain_and_anthropic_for_python_understand_every_known_reply() {
    run(folder().join("python/bin/python"), "check.py").await;
}

#[tokio::test]
async fn openai_for_node_understands_every_known_reply() {
    run("node".into(), "check.mjs").await;
}
