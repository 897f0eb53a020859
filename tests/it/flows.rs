//! The flows that the tests of the contract run, and what they look at.

use serde_json::{Value, json};
use testkit::{Builder, Client, Flow, Gateway, pack};

/// Ends at once with what it was given.
fn echo() -> Flow {
    Flow::new("echo", &[("prompt", "string")])
        .end(&[("response", "string")])
        .path(&["start", "end"])
        .wire("start", "prompt", "end", "response")
}

/// Asks a person.
fn ask() -> Flow {
    let more = json!({"pinDefaults": {"prompt": "who are you ?", "choices": ["a", "b"]}});
    Flow::new("ask", &[])
        .step("ask", "ask_user", &[("prompt", "string"), ("choices", "array")], &[("response", "string")], more)
        .end(&[("response", "string")])
        .path(&["start", "ask", "end"])
        .wire("ask", "response", "end", "response")
}

/// Waits for some seconds.
fn wait() -> Flow {
    let more = json!({"effectConfig": {"durationType": "seconds"}});
    Flow::new("wait", &[("seconds", "number")])
        .step("w", "wait_until", &[("duration", "number")], &[], more)
        .end(&[])
        .path(&["start", "w", "end"])
        .wire("start", "seconds", "w", "duration")
}

/// Waits for the event `evt:global:global:<name>`.
fn event() -> Flow {
    Flow::new("event", &[("key", "string")])
        .step("e", "wait_event", &[("event_key", "string")], &[("event_data", "any")], json!({}))
        .end(&[("event", "any")])
        .path(&["start", "e", "end"])
        .wire("start", "key", "e", "event_key")
        .wire("e", "event_data", "end", "event")
}

/// Runs `ask` as a child.
fn parent() -> Flow {
    Flow::new("parent", &[])
        .step("sub", "subflow", &[], &[("response", "string")], json!({"subflowId": "ask"}))
        .end(&[("answer", "string")])
        .path(&["start", "sub", "end"])
        .wire("sub", "response", "end", "answer")
}

/// Asks a model.
fn llm() -> Flow {
    let more = json!({"effectConfig": {"provider": "openai-compatible", "model": "fake-model"}});
    Flow::new("llm", &[("prompt", "string")])
        .step("ask", "llm_call", &[("prompt", "string")], &[("response", "string")], more)
        .end(&[("text", "string")])
        .path(&["start", "ask", "end"])
        .wire("start", "prompt", "ask", "prompt")
        .wire("ask", "response", "end", "text")
}

/// The bundle `fix` in a version.
pub(crate) fn fix(version: &str) -> Vec<u8> {
    pack("fix", version, &[echo(), ask(), wait(), event(), parent(), llm()])
}

/// A gateway, to be configured, that is everything in one process.
pub(crate) fn gateway() -> Builder {
    Gateway::builder()
}

/// Starts a gateway with the bundle installed.
pub(crate) async fn started(builder: Builder) -> Gateway {
    let gateway = builder.start().await;
    gateway.client.upload(fix("0.1.0")).await.good();
    gateway
}

/// Starts a flow of the bundle.
pub(crate) async fn start(client: &Client, flow: &str, input: Value) -> String {
    client.start(&json!({"bundle_id": "fix", "flow_id": flow, "input_data": input})).await
}

/// A run of `echo` that has ended.
pub(crate) async fn echoed(client: &Client, prompt: &str) -> String {
    let run = start(client, "echo", json!({"prompt": prompt})).await;
    client.until_status(&run, "completed").await;
    run
}

/// The keys of an object, in order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

/// The keys of a record, in order.
pub(crate) const RECORD: [&str; 16] = [
    "run_id",
    "step_id",
    "node_id",
    "status",
    "effect",
    "result",
    "error",
    "started_at",
    "ended_at",
    "actor_id",
    "session_id",
    "attempt",
    "idempotency_key",
    "prev_hash",
    "record_hash",
    "signature",
];

/// What a ledger says in short: node, status and type of effect of each record.
pub(crate) fn short(records: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let one = |record: &Value| {
        format!("{} {} {}", word(&record["node_id"]), word(&record["status"]), word(&record["effect"]["type"]))
    };
    records.iter().map(one).collect()
}
