//! A stream that breaks never looks complete, however it breaks.

use crate::gateway::{Gateway, PLAIN, STREAM, hello, piece};
use crate::upstream::Upstream;
use proxy::Outcome;
use serde_json::{Value, json};

/// A backend that sends that much of a stream and then resets.
async fn cut(text: String) -> Upstream {
    Upstream::start(move |seen, mut conn| {
        let text = text.clone();
        async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            conn.events().await;
            conn.chunk(text.as_bytes()).await;
            conn.reset();
            None
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_that_its_backend_resets_ends_with_an_error_and_a_broken_connection() {
    let upstream = cut(piece(r#"{"role":"assistant","content":"Hel"}"#, "null")).await;
    let gateway = Gateway::of("openai", &upstream).await;
    let reply = gateway.chat(STREAM).await;
    assert!(!reply.whole && !reply.text().contains("[DONE]"), "{}", reply.text());
    let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
    assert_eq!(last["error"]["type"], json!("upstream_error"));
    assert_eq!(last["error"]["code"], json!("upstream_disconnected"));
    assert_eq!(last["error"]["param"], Value::Null);
    assert_eq!(gateway.accounts.only().await.outcome, Outcome::Failed("upstream_disconnected".to_owned()));
    gateway.settled().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_behind_its_finish_reason_is_whole() {
    let upstream = cut(hello().replace("data: [DONE]\n\n", "")).await;
    let gateway = Gateway::of("openai", &upstream).await;
    let reply = gateway.chat(STREAM).await;
    assert!(reply.whole);
    assert_eq!(reply.text(), hello());
}

#[tokio::test]
async fn a_plain_answer_that_is_cut_becomes_an_error() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\":").await;
        None
    })
    .await;
    let gateway = Gateway::of("openai", &upstream).await;
    let reply = gateway.chat(PLAIN).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("upstream_disconnected")));
    gateway.settled().await;
}

#[tokio::test]
async fn an_anthropic_stream_without_its_last_event_ends_with_an_error_and_a_broken_connection() {
    let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":0}}}\n\n";
    for end in [
        "",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n",
    ] {
        let upstream = Upstream::of_stream(format!("{events}{end}")).await;
        let gateway = Gateway::of("llamacpp", &upstream).await;
        let reply = gateway.post("/v1/messages", r#"{"model":"m","stream":true,"max_tokens":5,"messages":[]}"#).await;
        assert!(!reply.whole, "{}", reply.text());
        assert!(reply.text().starts_with(events));
        let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
        assert_eq!(last["type"], json!("error"));
        assert!(reply.text().contains("event: error\n"));
    }
}

#[tokio::test]
async fn an_anthropic_stream_of_a_backend_that_speaks_it_goes_through_byte_for_byte() {
    let text = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":0}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let upstream = Upstream::of_stream(text).await;
    let gateway = Gateway::of("llamacpp", &upstream).await;
    let reply = gateway.post("/v1/messages", r#"{"model":"m","stream":true,"max_tokens":5,"messages":[]}"#).await;
    assert!(reply.whole);
    assert_eq!(reply.text(), text);
    let tally = gateway.accounts.only().await.tally;
    assert_eq!((tally.tokens_in, tally.tokens_out), (3, 9));
}

#[tokio::test]
async fn an_anthropic_stream_that_its_server_begins_without_a_message_gets_one_in_front() {
    // As llama.cpp's server b11669 sends it when its first piece carries text.
    let sent = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ˠ\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let gateway = Gateway::of("llamacpp", &Upstream::of_stream(sent).await).await;
    let reply = gateway.post("/v1/messages", r#"{"model":"m","stream":true,"max_tokens":2,"messages":[]}"#).await;
    assert!(reply.whole && reply.text().starts_with("event: message_start\n") && reply.text().ends_with(sent));
    let first: Value = serde_json::from_str(reply.data()[0]).unwrap();
    let message = &first["message"];
    assert_eq!(
        (&message["role"], &message["model"], &message["content"]),
        (&json!("assistant"), &json!("m"), &json!([]))
    );
    assert!(message["id"].as_str().is_some_and(|id| id.starts_with("msg_")) && message["usage"].is_object(), "{first}");
    assert_eq!(reply.text().matches("message_start").count(), 2, "one event, by its name and its type");
}

#[tokio::test]
async fn a_stream_of_a_response_ends_as_its_backend_ends_it_and_a_cut_one_with_an_error() {
    let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
    let begin = event("response.created", "") + &event("response.output_text.delta", ",\"delta\":\"so\"");
    let usage = ",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}";
    let failed = ",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"boom\"}}";
    for (end, outcome) in [
        (event("response.completed", usage), Outcome::Completed),
        (event("response.incomplete", usage), Outcome::Completed),
        (event("response.failed", failed), Outcome::Failed("server_error".to_owned())),
    ] {
        let text = begin.clone() + &end;
        let gateway = Gateway::of("openai", &Upstream::of_stream(text.clone()).await).await;
        let reply = gateway.post("/v1/responses", r#"{"model":"m","stream":true,"input":"x"}"#).await;
        assert!(reply.whole, "{}", reply.text());
        assert_eq!(reply.text(), text);
        assert_eq!(gateway.accounts.only().await.outcome, outcome);
    }
    let gateway = Gateway::of("openai", &Upstream::of_stream(begin.clone()).await).await;
    let reply = gateway.post("/v1/responses", r#"{"model":"m","stream":true,"input":"x"}"#).await;
    assert!(!reply.whole && reply.text().starts_with(&begin), "{}", reply.text());
    let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("upstream_disconnected")));
}
