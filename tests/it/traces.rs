//! One trace from the HTTP request over the inbox and the step to the model call.

use crate::flows;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::Method;
use serde_json::json;
use std::sync::{Arc, Mutex};
use testkit::{Client, FakeModel, SOON, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Exports as they came.
type Exports = Arc<Mutex<Vec<Bytes>>>;

#[expect(clippy::disallowed_methods, reason = "the test's own server ends with the test")]
async fn collector() -> (String, Exports) {
    let exports = Exports::default();
    let take = async |State(exports): State<Exports>, body: Bytes| exports.lock().unwrap().push(body);
    let router = Router::new().route("/v1/traces", post(take)).with_state(exports.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, exports)
}

/// Whether a span of that name is exported under the trace: both stand in one span of the protocol's bytes.
fn has_span(exports: &Exports, name: &str) -> bool {
    let trace: Vec<u8> = (0..16).map(|byte| u8::from_str_radix(&TRACE[byte * 2..byte * 2 + 2], 16).unwrap()).collect();
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let named: Vec<u8> = [&[0x2a, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    let spans = |bytes: &Bytes| {
        let starts: Vec<usize> = bytes
            .windows(18)
            .enumerate()
            .filter(|(_, part)| part[..2] == [0x0a, 16] && part[2..] == trace)
            .map(|(place, _)| place)
            .collect();
        let end = |place: usize| (place + 160).min(bytes.len());
        starts.iter().any(|place| holds(&bytes[*place..end(*place)], &named))
    };
    exports.lock().unwrap().iter().any(spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_all_that_comes_of_it_are_one_trace() {
    let (url, exports) = collector().await;
    let model = FakeModel::start(&[json!({"content": "hi"})]).await;
    let gateway = flows::started(flows::gateway().model(&model).env("GANTRY_OTLP_ENDPOINT", &url)).await;
    let body = json!({"bundle_id": "fix", "flow_id": "llm", "input_data": {"prompt": "hello"}});
    let started = gateway.client.request(Method::POST, "/runs/start").json(&body);
    let answer = Client::send(started.header("traceparent", format!("00-{TRACE}-{PARENT}-01"))).await.unwrap();
    let run = answer.json()["run_id"].as_str().unwrap().to_owned();
    gateway.client.until_ended(&run).await;
    let names = ["request", "step", "model_call", "chat fake-model"];
    let missing = || names.iter().filter(|name| !has_span(&exports, name)).copied().collect::<Vec<_>>();
    let state = async || if missing().is_empty() { Ok(()) } else { Err(format!("missing: {:?}", missing())) };
    until("every span to be exported", SOON, state).await;
}
