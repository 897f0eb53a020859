//! Requests, answers and streams said in the other protocol's words keep their meaning.

use super::{Translated, from_chat, to_chat};
use crate::backends;
use crate::relay::completion::Completion;
use crate::relay::dialect::{Dialect, Verdict};
use crate::sse::{Frame, Splitter};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;

fn request(from: Value) -> Value {
    serde_json::from_slice(&to_chat(&from.to_string().into(), Some("m"), true).unwrap()).unwrap()
}

fn message(from: Value) -> Value {
    serde_json::from_slice(&from_chat(&from.to_string().into(), "claude").unwrap()).unwrap()
}

#[test]
fn a_conversation_with_tools_images_and_thinking_keeps_its_meaning() {
    let ours = request(json!({
        "model": "claude", "max_tokens": 9, "stream": true, "stop_sequences": ["x"], "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "be brief"}],
        "thinking": {"type": "enabled", "budget_tokens": 5000},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [{"type": "text", "text": "no"}]},
                {"type": "text", "text": "and now"}]},
        ],
    }));
    let wanted = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "Error: no"},
            {"role": "user", "content": "and now"},
        ],
        "max_tokens": 9, "stop": ["x"], "stream": true, "stream_options": {"include_usage": true}, "user": "u",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "description": "d"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
        "reasoning_effort": "medium",
    });
    assert_eq!(ours, wanted);
}

#[test]
fn what_has_no_words_on_the_other_side_is_refused_and_not_dropped() {
    for (content, says) in [
        (json!([{"type": "document", "source": {"type": "base64", "data": "AA"}}]), "plain text"),
        (json!([{"type": "server_tool_use"}]), "server_tool_use"),
        (json!([{"type": "image", "source": {"type": "file", "file_id": "f"}}]), "base64 or url"),
        (json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "search_result"}]}]), "search_result"),
        (
            json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": {"type": "url"}}]}]),
            "plain text",
        ),
    ] {
        let from = json!({"messages": [{"role": "user", "content": content}]});
        let error = to_chat(&from.to_string().into(), None, false).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn what_runs_at_anthropic_is_refused_and_not_dropped() {
    for (name, value) in [
        ("mcp_servers", json!([{"type": "url", "url": "https://x", "name": "x"}])),
        ("container", json!("c_1")),
        ("output_format", json!({"type": "grammar"})),
        ("system", json!([{"type": "image", "source": {"type": "url", "url": "https://x"}}])),
    ] {
        let mut from = json!({"messages": []});
        from[name] = value;
        assert!(to_chat(&from.to_string().into(), None, false).is_err(), "{name}");
    }
    assert!(to_chat(&json!({"messages": [], "mcp_servers": []}).to_string().into(), None, false).is_ok());
}

#[test]
fn the_form_of_the_answer_and_the_effort_are_said_in_both_spellings() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    let wanted = json!({
        "type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": true},
    });
    for ours in [
        request(json!({"messages": [], "output_format": format})),
        request(json!({"messages": [], "output_config": {"format": format, "effort": "max"}})),
    ] {
        assert_eq!(ours["response_format"], wanted);
        assert!(ours.get("reasoning_effort").is_none_or(|effort| effort == "high"), "{ours}");
    }
    let effort = request(json!({"messages": [], "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}));
    assert_eq!(effort["reasoning_effort"], json!("low"));
}

#[test]
fn a_text_of_the_client_that_ended_the_answer_is_named_where_the_backend_names_it() {
    for (choice, stop, sequence) in [
        (json!({"stop_reason": "END"}), "stop_sequence", json!("END")),
        (json!({"matched_stop": "END"}), "stop_sequence", json!("END")),
        (json!({"stop_reason": 128_009}), "end_turn", Value::Null),
        (json!({}), "end_turn", Value::Null),
    ] {
        let mut whole = choice.clone();
        whole["finish_reason"] = json!("stop");
        let mut last = whole.clone();
        whole["message"] = json!({"role": "assistant", "content": "so"});
        last["delta"] = json!({"role": "assistant", "content": "so"});
        let answer = message(json!({"id": "c1", "choices": [whole]}));
        assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!(stop), &sequence), "{choice}");
        let chunk =
            json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [last]});
        let (events, verdict) = stream(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
        assert_eq!(verdict, Verdict::Complete);
        let delta = &events[events.len() - 2]["delta"];
        assert_eq!((&delta["stop_reason"], &delta["stop_sequence"]), (&json!(stop), &sequence), "{choice}");
    }
}

#[test]
fn an_answer_with_thinking_text_and_a_call_becomes_three_blocks() {
    let answer = message(json!({
        "id": "c1", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "reasoning_content": "hm", "content": "so",
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
    }));
    assert_eq!(
        answer["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        ])
    );
    assert_eq!(
        (&answer["stop_reason"], &answer["model"], &answer["id"]),
        (&json!("tool_use"), &json!("claude"), &json!("msg_c1"))
    );
    assert_eq!(answer["usage"], json!({"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 2}));
}

fn stream(text: &str) -> (Vec<Value>, Verdict) {
    let inner = Completion::new("one", backends::kind("openai").unwrap(), true, true, 40);
    let mut dialect = Translated::new(inner, "claude".to_owned());
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let (mut out, mut verdict) = (VecDeque::new(), Verdict::Continue);
    while let (Some(block), Verdict::Continue) = (splitter.next(), &verdict) {
        verdict = dialect.frame(Frame::read(block), &mut out);
    }
    if verdict == Verdict::Continue {
        verdict = dialect.end(&mut out);
    }
    let events = out.iter().map(|event| {
        let frame = Frame::read(event.clone());
        let value: Value = serde_json::from_slice(&frame.data.unwrap()).unwrap();
        assert_eq!(value["type"].as_str().unwrap().as_bytes(), frame.event.unwrap(), "every event has its name");
        value
    });
    (events.collect(), verdict)
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

#[test]
fn a_stream_of_thinking_text_and_two_calls_becomes_four_blocks_in_order() {
    let text = [
        chunk(r#"{"role":"assistant","reasoning_content":"hm"}"#, "null"),
        chunk(r#"{"content":"so"}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":1}"}}]}"#, "null"),
        chunk("{}", r#""tool_calls""#),
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":6}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let (events, verdict) = stream(&text);
    assert_eq!(verdict, Verdict::Complete);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let wanted = [&["message_start"][..], &block, &block, &block, &block, &["message_delta", "message_stop"]].concat();
    assert_eq!(kinds, wanted);
    let deltas: Vec<Value> = events
        .iter()
        .filter(|event| event["type"] == "content_block_delta")
        .map(|event| event["delta"].clone())
        .collect();
    assert_eq!(
        deltas,
        [
            json!({"type": "thinking_delta", "thinking": "hm"}),
            json!({"type": "text_delta", "text": "so"}),
            json!({"type": "input_json_delta", "partial_json": "{}"}),
            json!({"type": "input_json_delta", "partial_json": "{\"x\":1}"}),
        ]
    );
    let last = &events[events.len() - 2];
    assert_eq!(
        (&last["delta"]["stop_reason"], &last["usage"]),
        (&json!("tool_use"), &json!({"input_tokens": 4, "output_tokens": 6}))
    );
}

#[test]
fn a_cut_stream_has_no_last_event() {
    let (events, verdict) = stream(&chunk(r#"{"role":"assistant","content":"so"}"#, "null"));
    assert!(matches!(verdict, Verdict::Broken(_)));
    assert!(events.iter().all(|event| event["type"] != "message_stop"));
}
