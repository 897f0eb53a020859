//! Requests that cannot be served now and become jobs.

mod accepted;
mod attempts;
mod callers;
mod media;
mod proxies;

use crate::client::{Open, Reply, call};
use crate::gateway::{Gateway, PLAIN, backend};
use crate::limits::{broker, connect};
use crate::upstream::Upstream;
use nats_process::Server;
use proxy::Config;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const WITHIN: Duration = Duration::from_secs(30);
const ANSWER: &str =
    r#"{"id":"c1", "choices":[],  "big":12345678901234567890123, "usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const CHAT: &str = "/v1/chat/completions";
const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// A backend that answers once it is open.
struct Gate {
    upstream: Upstream,
    open: watch::Sender<bool>,
}

impl Gate {
    async fn closed() -> Self {
        let (open, is_open) = watch::channel(false);
        let upstream = Upstream::start(move |seen, mut conn| {
            let mut is_open = is_open.clone();
            async move {
                if conn.lists_models(&seen).await {
                    return Some(conn);
                }
                tokio::select! {
                    opened = is_open.wait_for(|open| *open) => drop(opened),
                    () = conn.hung_up() => return None,
                }
                conn.json("200 OK", ANSWER).await;
                Some(conn)
            }
        })
        .await;
        Self { upstream, open }
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    fn asked(&self) -> usize {
        self.upstream.requests(CHAT).len()
    }
}

fn configured(upstream: &Upstream) -> Config {
    let mut config = Config {
        backends: vec![backend("one", "openai", upstream)],
        api_keys: vec!["alice".to_owned().into(), "bob".to_owned().into()],
        ..Config::default()
    };
    config.backends[0].concurrency = Some(1);
    config
}

async fn proxy(server: &Server, config: Config) -> Gateway {
    Gateway::on(&connect(server).await, config).await
}

async fn send(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = [&[("x-api-key", "alice")], headers].concat();
    call(gateway.address, method, path, &headers, body).await
}

/// The same with `Prefer: respond-async`.
async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Reply {
    send(gateway, "POST", CHAT, &[&[ASYNC], headers].concat(), PLAIN).await
}

/// Takes the only place for as long as it is kept.
async fn fill(gateway: &Gateway, gate: &Gate) -> Open {
    let before = gate.asked();
    let open = Open::send(gateway.address, "POST", CHAT, &[("x-api-key", "bob")], PLAIN).await;
    gate.upstream.until("was asked", |_| gate.asked() > before).await;
    open
}

/// A proxy whose only place is taken, so that the next request becomes a job.
async fn full(change: impl FnOnce(&mut Config)) -> (Gate, Gateway, Open, Server) {
    let (server, gate) = (broker().await, Gate::closed().await);
    let mut config = configured(&gate.upstream);
    change(&mut config);
    let gateway = proxy(&server, config).await;
    let held = fill(&gateway, &gate).await;
    (gate, gateway, held, server)
}

async fn job(gateway: &Gateway, id: &str) -> Value {
    let reply = send(gateway, "GET", &format!("/v1/jobs/{id}"), &[], "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn until(gateway: &Gateway, id: &str, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        let job = job(gateway, id).await;
        if job["status"] == status {
            return job;
        }
        assert!(begun.elapsed() < WITHIN, "never {status}: {job}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn code(reply: &Reply) -> Value {
    reply.json()["error"]["code"].clone()
}
