//! The flows that run while things break.

use serde_json::json;
use testkit::{Builder, Flow, Gateway, pack};

/// Asks once for each of its items.
fn talk() -> Flow {
    Flow::new("talk", &[("items", "array")])
        .node(
            "each",
            "loop",
            &[("exec-in", "execution"), ("items", "array")],
            &[("loop", "execution"), ("done", "execution"), ("item", "any"), ("index", "number")],
            json!({}),
        )
        .step(
            "ask",
            "ask_user",
            &[("prompt", "string")],
            &[("response", "string")],
            json!({"pinDefaults": {"prompt": "?"}}),
        )
        .end(&[])
        .path(&["start", "each"])
        .wire("start", "items", "each", "items")
        .wire("each", "loop", "ask", "exec-in")
        .wire("each", "done", "end", "exec-in")
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

/// Starts a gateway with the flows installed.
pub(crate) async fn started(builder: Builder) -> Gateway {
    let gateway = builder.start().await;
    gateway.client.upload(pack("chaos", "1.0.0", &[talk(), llm()])).await.good();
    gateway
}
