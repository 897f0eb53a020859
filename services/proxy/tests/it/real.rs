//! The proxy in front of a real model server: llama.cpp's, with a tiny model of random weights.

use crate::client::{Open, call};
use crate::gateway::Gateway;
use proxy::{BackendConfig, Capability, Config, ModelConfig, Outcome, ReplicaConfig};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const INSTALL: &str = "llama-server is missing; run: bash services/proxy/tests/get-llama-server.sh";

/// A running server; it is killed with the test.
struct Llama {
    child: Child,
    address: SocketAddr,
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("GANTRY_LLAMA_SERVER") {
        return named.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).expect("HOME is set");
    let kept = cache.join("gantry/llama-server/llama-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("llama-server"));
    on_path.chain([kept]).find(|file| file.is_file()).expect(INSTALL)
}

impl Llama {
    async fn start() -> Self {
        let port = nats_process::free_port().unwrap();
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny-random.gguf");
        let child = Command::new(program())
            .args(["-m", model, "--alias", "tiny", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args([
                "--parallel",
                "2",
                "--ctx-size",
                "4096",
                "--slots",
                // Without it a generation would end by itself at the end of the context, within a second.
                "--context-shift",
                "--no-warmup",
                "--api-key",
                "upstream-key",
                "--threads",
                "1",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(INSTALL);
        let llama = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        let begun = Instant::now();
        while !llama.is_ready().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "llama-server is not ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        llama
    }

    async fn is_ready(&self) -> bool {
        tokio::net::TcpStream::connect(self.address).await.is_ok()
            && call(self.address, "GET", "/health", &[], "").await.status == 200
    }

    /// Whether it generates for anybody.
    async fn is_busy(&self) -> bool {
        let slots = call(self.address, "GET", "/slots", &[("authorization", "Bearer upstream-key")], "").await.json();
        slots.as_array().unwrap_or_else(|| panic!("{slots}")).iter().any(|slot| slot["is_processing"] == true)
    }

    fn backend(&self, name: &str, kind: &str) -> BackendConfig {
        let key = Some("upstream-key".to_owned().into());
        BackendConfig { api_key: key, ..BackendConfig::new(name, kind, &format!("http://{}", self.address)) }
    }

    async fn gateway(&self) -> Gateway {
        Gateway::start(Config { backends: vec![self.backend("llama", "llamacpp")], ..Config::default() }).await
    }
}

const SHORT: &str =
    r#""model":"tiny","max_tokens":8,"temperature":0,"seed":1,"messages":[{"role":"user","content":"the gpu queue"}]"#;

#[tokio::test]
async fn a_real_server_answers_through_the_proxy_whole_and_streamed_with_its_tokens_counted() {
    let llama = Llama::start().await;
    let gateway = llama.gateway().await;
    let models = gateway.get("/v1/models").await.json();
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["state"]), (&json!("tiny"), &json!("loaded")));
    assert_eq!(gateway.get("/readyz").await.status, 200);

    let whole = gateway.chat(&format!("{{{SHORT}}}")).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let message = whole.json()["choices"][0]["message"]["content"].clone();

    let stream = gateway.chat(&format!("{{\"stream\":true,{SHORT}}}")).await;
    assert!(stream.whole && stream.text().ends_with("data: [DONE]\n\n"));
    let chunks: Vec<Value> = stream.data().iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(json!(text), message);
    assert!(
        chunks.iter().all(|chunk| chunk["choices"].as_array().is_some_and(|choices| !choices.is_empty())),
        "no usage chunk"
    );

    let accounts = gateway.accounts.all();
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0].tally.tokens_in, accounts[1].tally.tokens_in);
    for account in accounts {
        assert!(account.tally.told && account.tally.tokens_out == 8, "{account:?}");
        assert_eq!(account.outcome, Outcome::Completed);
    }
}

#[tokio::test]
async fn a_real_server_stops_generating_when_the_client_leaves() {
    let llama = Llama::start().await;
    let gateway = llama.gateway().await;
    for stream in ["true", "false"] {
        let body = format!(
            r#"{{"model":"tiny","stream":{stream},"max_tokens":100000,"ignore_eos":true,"messages":[{{"role":"user","content":"run"}}]}}"#
        );
        let mut open = Open::send(gateway.address, "POST", "/v1/chat/completions", &[], &body).await;
        if stream == "true" {
            open.until("content").await;
        }
        let begun = Instant::now();
        while !llama.is_busy().await {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never began");
        }
        drop(open);
        let left = Instant::now();
        loop {
            // The server looks for a client that has left only after a second in which nobody asked it for anything.
            tokio::time::sleep(Duration::from_millis(1_300)).await;
            if !llama.is_busy().await {
                break;
            }
            assert!(left.elapsed() < Duration::from_secs(15), "it goes on generating");
        }
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_real_server_speaks_anthropic_by_itself_and_through_translation() {
    let llama = Llama::start().await;
    let mut plain = llama.backend("plain", "openai");
    plain.capabilities = Some(vec![Capability::Chat]);
    let replica = ReplicaConfig { backend: "plain".to_owned(), model: Some("tiny".to_owned()), weight: None };
    let models = vec![ModelConfig { name: "translated".to_owned(), replicas: vec![replica], ..ModelConfig::default() }];
    let backends = vec![llama.backend("llama", "llamacpp"), plain];
    let gateway = Gateway::start(Config { backends, models, ..Config::default() }).await;
    gateway.get("/v1/models").await;
    let rest = r#""max_tokens":8,"temperature":0,"messages":[{"role":"user","content":"the gpu queue"}]"#;
    let mut texts = Vec::new();
    for model in ["tiny", "translated"] {
        let reply = gateway.post("/v1/messages", &format!(r#"{{"model":"{model}",{rest}}}"#)).await;
        let answer = reply.json();
        assert_eq!((&answer["type"], &answer["stop_reason"]), (&json!("message"), &json!("max_tokens")), "{answer}");
        assert_eq!(answer["usage"]["output_tokens"], json!(8));
        texts.push(answer["content"][0]["text"].clone());

        let stream = gateway.post("/v1/messages", &format!(r#"{{"model":"{model}","stream":true,{rest}}}"#)).await;
        assert!(stream.whole && stream.text().starts_with("event: message_start\n"), "{}", stream.text());
        let events: Vec<Value> = stream.data().iter().map(|data| serde_json::from_str(data).unwrap()).collect();
        assert_eq!(events.last().unwrap()["type"], json!("message_stop"));
        let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
        texts.push(json!(text));

        let count = gateway.post("/v1/messages/count_tokens", &format!(r#"{{"model":"{model}",{rest}}}"#)).await;
        let tokens = count.json()["input_tokens"].as_u64().unwrap_or_else(|| panic!("{}", count.text()));
        assert!((5..60).contains(&tokens), "{tokens}");
    }
    assert!(texts.iter().all(|text| text == &texts[0]), "{texts:?}");
    gateway.settled().await;
}

#[tokio::test]
async fn a_real_servers_error_comes_in_the_envelope() {
    let llama = Llama::start().await;
    let gateway = llama.gateway().await;
    let reply = gateway.chat(r#"{"model":"tiny","messages":"nonsense"}"#).await;
    let error = reply.json()["error"].clone();
    assert!((400..600).contains(&reply.status), "{error}");
    assert!(error["code"].is_string() && error["type"].is_string() && error["message"].is_string(), "{error}");
    let reply = gateway.post("/v1/embeddings", r#"{"model":"tiny","input":"x"}"#).await;
    assert!(reply.status >= 400 && reply.json()["error"]["message"].is_string(), "{}", reply.text());
}

/// What the compatibility scanner says of an endpoint, a line a probe, at its best of three: the tiny model says whatever
/// comes to it, now and then nothing at all.
async fn scan(base: String) -> Vec<String> {
    let mut best = scan_once(&base).await;
    for _ in 0..2 {
        for (best, line) in best.iter_mut().zip(scan_once(&base).await) {
            if line.starts_with("PASS") {
                *best = line;
            }
        }
    }
    best
}

async fn scan_once(base: &str) -> Vec<String> {
    let output = tokio::process::Command::new("node")
        .arg(crate::clients::folder().join("node_modules/compatcanary/src/cli.js"))
        .args(["scan", "--base-url", base, "--model", "tiny"])
        .env("OPENAI_API_KEY", "upstream-key")
        .kill_on_drop(true)
        .output()
        .await
        .expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The rest of a line tells counts, which differ from run to run.
    let probes = said.lines().filter(|line| ["PASS", "FAIL", "WARN"].iter().any(|word| line.starts_with(word)));
    probes.map(|line| line.chars().take(30).collect()).collect()
}

#[tokio::test]
async fn a_scanner_finds_a_real_server_as_compatible_behind_the_proxy_as_without_it() {
    let llama = Llama::start().await;
    let gateway = llama.gateway().await;
    let direct = scan(format!("http://{}/v1", llama.address)).await;
    assert!(direct.len() >= 7 && direct.iter().filter(|line| line.starts_with("PASS")).count() >= 6, "{direct:?}");
    assert_eq!(scan(format!("http://{}/v1", gateway.address)).await, direct);
}
