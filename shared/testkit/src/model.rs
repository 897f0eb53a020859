//! A model server that follows a script: real HTTP, the chat-completions form, and a gate for slow answers.

#![expect(clippy::expect_used, reason = "a test without its model server has nothing to go on with")]

use crate::until::{SOON, until};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its body.
    pub body: Value,
    /// Its idempotency key.
    pub key: String,
}

struct Shared {
    script: Mutex<VecDeque<Value>>,
    asked: Mutex<Vec<Asked>>,
    open: watch::Sender<bool>,
}

/// The running server. It ends with the value.
pub struct FakeModel {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FakeModel {
    /// Starts a server whose answer to request `k` is `script[k]`: `{content}`, `{content, tool_calls}` or
    /// `{http_error, message}`. After the script it repeats what it was asked last.
    ///
    /// # Panics
    /// When there is no port.
    #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
    pub async fn start(script: &[Value]) -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::new(script.iter().cloned().collect()),
            asked: Mutex::default(),
            open: watch::Sender::new(true),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("a bound port"));
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(async || Json(json!({"object": "list", "data": [{"id": "fake-model"}]}))))
            .with_state(shared.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, shared, server }
    }

    /// The base URL, ending in `/v1`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the next requests are answered with, instead of what was left of the script.
    pub fn script(&self, script: &[Value]) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = script.iter().cloned().collect();
    }

    /// From now on requests are taken and not answered.
    pub fn hold(&self) {
        self.shared.open.send_replace(false);
    }

    /// Answers what is held, and from now on at once.
    pub fn release(&self) {
        self.shared.open.send_replace(true);
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until at least so many requests have come.
    pub async fn until_asked(&self, count: usize) -> Vec<Asked> {
        until(&format!("{count} model requests"), SOON, async || {
            let asked = self.asked();
            if asked.len() >= count { Ok(asked) } else { Err(format!("{} came", asked.len())) }
        })
        .await
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn complete(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let asked = Asked { body: body.clone(), key };
    shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let planned = shared.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut open = shared.open.subscribe();
    // The sender lives as long as the server.
    let _ = open.wait_for(|open| *open).await;
    answer(&planned.unwrap_or_else(|| echo(&body)), &body)
}

fn echo(body: &Value) -> Value {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    json!({"content": last.map(|message| message["content"].clone()).unwrap_or_default()})
}

fn answer(planned: &Value, body: &Value) -> (StatusCode, Json<Value>) {
    if let Some(status) = planned["http_error"].as_u64() {
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let error = json!({"error": {"message": planned["message"], "type": "server_error"}});
        return (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(error));
    }
    let mut message = json!({"role": "assistant", "content": planned["content"]});
    if let Some(calls) = planned["tool_calls"].as_array() {
        let shown = calls.iter().map(|call| {
            let function = json!({"name": call["name"], "arguments": call["arguments"].to_string()});
            json!({"id": call["id"], "type": "function", "function": function})
        });
        message["tool_calls"] = shown.collect();
    }
    let reason = if planned["tool_calls"].is_array() { "tool_calls" } else { "stop" };
    let completion = json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    });
    (StatusCode::OK, Json(completion))
}
