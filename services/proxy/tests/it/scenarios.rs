//! Every reply that a backend was seen to give, and what a client must make of it: no cut answer looks whole, and what
//! was meant clearly arrives.

use crate::gateway::{DONE, Gateway, STREAM, hello, piece};
use crate::upstream::Upstream;
use serde_json::{Value, json};

/// What a client sees.
pub(crate) enum Wanted {
    /// A whole answer with that text and finish reason.
    Text(&'static str, &'static str),
    /// A whole answer with those tool calls: name and arguments, by index.
    Calls(&'static [(&'static str, &'static str)]),
    /// Events, then an error that says this, no end mark, and a connection that breaks.
    Broken(&'static str),
    /// No stream at all, but an error with that status that says this.
    Refused(u16, &'static str),
}

use Wanted::{Broken, Calls, Refused, Text};

fn call(head: &str) -> String {
    piece(&format!(r#"{{"tool_calls":[{head}]}}"#), "null")
}

fn start() -> String {
    piece(r#"{"role":"assistant","content":"Hel"}"#, "null")
}

fn stop() -> String {
    piece("{}", r#""stop""#)
}

fn role() -> String {
    piece(r#"{"role":"assistant","content":null}"#, "null")
}

#[rustfmt::skip]
pub(crate) fn scenarios() -> Vec<(&'static str, String, Wanted)> {
    let s = start;
    let tools_end = || piece("{}", r#""tool_calls""#);
    let usage = r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":CHOICES,"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    vec![
        ("normal", hello(), Text("Hello", "stop")),
        ("usage", [s(), stop(), usage.replace("CHOICES", "[]") + "\n\n", DONE.into()].concat(), Text("Hel", "stop")),
        ("crlf", hello().replace('\n', "\r\n"), Text("Hello", "stop")),
        ("cr-only", hello().replace('\n', "\r"), Text("Hello", "stop")),
        ("nospace", hello().replace("data: ", "data:"), Text("Hello", "stop")),
        ("comments", hello().replace("data: ", ": ping\n\ndata: "), Text("Hello", "stop")),
        ("no-done", hello().replace(DONE, ""), Text("Hello", "stop")),
        ("done-trailing-space", hello().replace("[DONE]", "[DONE] "), Text("Hello", "stop")),
        ("data-after-done", hello() + &s(), Text("Hello", "stop")),
        ("named-events", hello().replace("data: ", "event: chunk\nid: 7\nretry: 5\ndata: "), Text("Hello", "stop")),
        ("err-mid", s() + "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":\"x\"}}\n\n", Broken("boom")),
        ("err-mid-int-code", s() + "data: {\"error\":{\"message\":\"boom\",\"type\":\"E\",\"code\":400}}\n\n", Broken("boom")),
        ("err-mid-string", s() + "data: {\"error\":\"boom\",\"error_type\":\"generation\"}\n\n", Broken("boom")),
        ("err-event", s() + "event: error\ndata: {\"error\":{\"message\":\"boom\"}}\n\n", Broken("boom")),
        ("err-event-flat", s() + "event: error\ndata: {\"message\":\"boom\"}\n\n", Broken("boom")),
        ("llamacpp-error-field", s() + "error: {\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}\n\n", Broken("boom")),
        ("error-type-flat", s() + "data: {\"object\":\"error\",\"message\":\"boom\",\"code\":400}\n\n", Broken("boom")),
        ("err-first", "data: {\"error\":{\"message\":\"boom\",\"type\":\"BadRequestError\",\"code\":400}}\n\n".into(), Refused(400, "boom")),
        ("choices-null", [s(), stop(), usage.replace("CHOICES", "null") + "\n\n", DONE.into()].concat(), Text("Hel", "stop")),
        ("no-choices-key", [s(), stop(), usage.replace("\"choices\":CHOICES,", "") + "\n\n", DONE.into()].concat(), Text("Hel", "stop")),
        ("bare-chunk", "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned() + DONE, Text("Hello", "stop")),
        ("fr-empty", [piece(r#"{"role":"assistant","content":"Hi"}"#, r#""""#), stop(), DONE.into()].concat(), Text("Hi", "stop")),
        ("delta-null", [s(), piece("null", r#""stop""#), DONE.into()].concat(), Text("Hel", "stop")),
        ("not-json", s() + "data: <oops>\n\n", Broken("not JSON")),
        ("multi-line-data", "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\ndata: \"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\ndata: \"finish_reason\":\"stop\"}]}\n\n".to_owned() + DONE, Text("Hi", "stop")),
        ("utf8", [piece("{\"role\":\"assistant\",\"content\":\"é😀\u{2028}x\"}", "null"), stop(), DONE.into()].concat(), Text("é😀\u{2028}x", "stop")),
        ("bom", "\u{feff}".to_owned() + &hello(), Text("Hello", "stop")),
        ("empty-body", String::new(), Refused(502, "closed the stream")),
        ("role-null-every", [s(), piece(r#"{"role":null,"content":"lo"}"#, "null"), stop(), DONE.into()].concat(), Text("Hello", "stop")),
        ("reasoning", [piece(r#"{"role":"assistant","reasoning_content":"hm"}"#, "null"), s(), stop(), DONE.into()].concat(), Text("Hel", "stop")),
        ("two-finishes", [s(), stop(), stop(), DONE.into()].concat(), Text("Hel", "stop")),
        ("zero-usage", hello().replace("\"choices\"", "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0},\"choices\""), Text("Hello", "stop")),
        ("tools-ok", [role(), call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#), call(r#"{"index":0,"function":{"arguments":"{\"a\":1}"}}"#), tools_end(), DONE.into()].concat(), Calls(&[("f", r#"{"a":1}"#)])),
        ("tools-two", [role(), call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}"#), tools_end(), DONE.into()].concat(), Calls(&[("f", "{}"), ("g", "{}")])),
        ("tools-noindex", [role(), call(r#"{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}"#), call(r#"{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}"#), tools_end(), DONE.into()].concat(), Calls(&[("f", "{}"), ("g", "{}")])),
        ("tools-samindex", [role(), call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\":"}}"#), call(r#"{"index":0,"function":{"arguments":"1}"}}"#), call(r#"{"index":0,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}"#), tools_end(), DONE.into()].concat(), Calls(&[("f", r#"{"a":1}"#), ("g", "{}")])),
        ("tools-dictargs", [role(), call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":{"a":1}}}"#), tools_end(), DONE.into()].concat(), Calls(&[("f", r#"{"a":1}"#)])),
        ("tools-fr-stop", [role(), call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}"#), stop(), DONE.into()].concat(), Calls(&[("f", "{}")])),
        ("tools-empty-name", [role(), call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}"#), call(r#"{"index":0,"function":{"name":"","arguments":"}"}}"#), tools_end(), DONE.into()].concat(), Calls(&[("f", "{}")])),
        ("truncate-clean", s() + &piece(r#"{"content":"lo"}"#, "null"), Broken("closed the stream")),
        ("truncate-done", s() + DONE, Broken("without a finish_reason")),
        ("truncate-inside-an-event", s() + "data: {\"id\":\"c1\",", Broken("closed the stream")),
    ]
}

fn check(name: &str, reply: &crate::client::Reply, wanted: &Wanted) {
    match wanted {
        Refused(status, message) => {
            assert_eq!(reply.status, *status, "{name}: {}", reply.text());
            let error = &reply.json()["error"];
            assert!(error["message"].as_str().unwrap().contains(message), "{name}: {error}");
            assert!(
                error["code"].is_string() && error["type"].is_string() || error["code"].is_null(),
                "{name}: {error}"
            );
        }
        Broken(message) => {
            assert!(!reply.whole, "{name} looks whole: {}", reply.text());
            assert!(!reply.text().contains("[DONE]"), "{name} has an end mark: {}", reply.text());
            let last: Value = serde_json::from_str(reply.data().last().unwrap()).unwrap();
            assert!(last["error"]["message"].as_str().unwrap().contains(message), "{name}: {last}");
            assert!(last["error"]["type"].is_string(), "{name}: {last}");
        }
        Text(text, finish) => {
            let (content, reason, _) = read(name, reply);
            assert_eq!((content.as_str(), reason.as_str()), (*text, *finish), "{name}");
        }
        Calls(calls) => {
            let (_, reason, found) = read(name, reply);
            assert_eq!(reason, "tool_calls", "{name}");
            let wanted: Vec<(String, String)> =
                calls.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            assert_eq!(found, wanted, "{name}");
        }
    }
}

/// Reads as the strictest client does: every member that the contract promises must be there.
fn read(name: &str, reply: &crate::client::Reply) -> (String, String, Vec<(String, String)>) {
    assert!(reply.whole, "{name} is broken: {}", reply.text());
    assert!(reply.text().ends_with(DONE), "{name} has no end mark: {}", reply.text());
    let (mut content, mut finish, mut calls, mut id) =
        (String::new(), Vec::new(), Vec::<(String, String)>::new(), None);
    for data in reply.data().iter().filter(|data| **data != "[DONE]") {
        let chunk: Value = serde_json::from_str(data).unwrap();
        assert_eq!(chunk["object"], json!("chat.completion.chunk"), "{name}: {data}");
        assert!(chunk["created"].is_number() && chunk["model"].is_string(), "{name}: {data}");
        assert_eq!(*id.get_or_insert(chunk["id"].clone()), chunk["id"], "{name}: {data}");
        for choice in chunk["choices"].as_array().unwrap_or_else(|| panic!("{name}: {data}")) {
            let delta = choice["delta"].as_object().unwrap_or_else(|| panic!("{name}: {data}"));
            content.push_str(delta.get("content").and_then(Value::as_str).unwrap_or_default());
            assert!(delta.get("role").is_none_or(|role| role == "assistant"), "{name}: {data}");
            if let Some(reason) = choice["finish_reason"].as_str() {
                finish.push(reason.to_owned());
            }
            for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                let at = usize::try_from(call["index"].as_u64().unwrap_or_else(|| panic!("{name}: {data}"))).unwrap();
                if at == calls.len() {
                    assert!(call["id"].is_string(), "{name}: {data}");
                    calls.push((call["function"]["name"].as_str().unwrap().to_owned(), String::new()));
                } else {
                    assert!(call["function"].get("name").is_none(), "{name}: {data}");
                }
                calls[at]
                    .1
                    .push_str(call["function"]["arguments"].as_str().unwrap_or_else(|| panic!("{name}: {data}")));
            }
        }
    }
    assert_eq!(finish.len(), 1, "{name}: {finish:?}");
    (content, finish.remove(0), calls)
}

#[tokio::test]
async fn every_known_reply_arrives_as_it_was_meant_and_no_cut_one_looks_whole() {
    for (name, text, wanted) in scenarios() {
        let upstream = Upstream::of_stream(text).await;
        let gateway = Gateway::of("openai", &upstream).await;
        check(name, &gateway.chat(STREAM).await, &wanted);
        gateway.settled().await;
    }
}

#[tokio::test]
async fn the_same_holds_when_every_byte_arrives_alone() {
    for (name, text, wanted) in scenarios() {
        let upstream = Upstream::start(move |seen, mut conn| {
            let text = text.clone();
            async move {
                if conn.lists_models(&seen).await {
                    return Some(conn);
                }
                conn.events().await;
                for byte in text.as_bytes() {
                    conn.chunk(&[*byte]).await;
                }
                conn.end().await;
                Some(conn)
            }
        })
        .await;
        let gateway = Gateway::of("openai", &upstream).await;
        check(name, &gateway.chat(STREAM).await, &wanted);
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_whole_answer_in_the_place_of_a_stream_becomes_one() {
    let answer = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    let upstream = Upstream::of_json("200 OK", answer).await;
    let gateway = Gateway::of("openai", &upstream).await;
    check("json-instead", &gateway.chat(STREAM).await, &Text("Hi", "stop"));
}

#[tokio::test]
async fn an_error_with_status_200_becomes_an_error() {
    let upstream = Upstream::of_json("200 OK", r#"{"error":{"message":"boom","type":"x","code":503}}"#).await;
    let gateway = Gateway::of("openai", &upstream).await;
    check("json-error-200", &gateway.chat(STREAM).await, &Refused(503, "boom"));
    check("json-error-200", &gateway.chat(crate::gateway::PLAIN).await, &Refused(503, "boom"));
}

/// What each kind of backend is known for. The last one stands for all that is not known.
const KNOWN: [(&str, &[&str]); 8] = [
    ("vllm", &["normal", "usage", "err-first", "err-mid-int-code", "error-type-flat", "tools-ok", "tools-fr-stop"]),
    ("ollama", &["normal", "tools-noindex", "tools-samindex", "tools-dictargs", "tools-fr-stop", "err-mid"]),
    ("llamacpp", &["normal", "llamacpp-error-field", "tools-two", "role-null-every", "reasoning"]),
    ("tgi", &["bare-chunk", "choices-null", "no-choices-key", "delta-null", "err-mid-string", "tools-dictargs"]),
    ("sglang", &["fr-empty", "role-null-every", "two-finishes", "error-type-flat", "tools-fr-stop"]),
    ("localai", &["zero-usage", "no-done", "bare-chunk", "delta-null", "tools-noindex", "fr-empty"]),
    ("lmstudio", &["tools-empty-name", "tools-noindex", "role-null-every", "err-mid-string"]),
    ("openai", &["normal"]),
];

#[tokio::test]
async fn each_kind_of_backend_is_understood_in_what_it_is_known_for_and_cut_where_it_is_cut() {
    for (kind, names) in KNOWN {
        let cuts = ["truncate-clean", "truncate-done", "truncate-inside-an-event", "not-json", "empty-body"];
        for name in names.iter().chain(&cuts) {
            let (_, text, wanted) = scenarios().into_iter().find(|(other, _, _)| other == name).unwrap();
            let upstream = Upstream::of_stream(text).await;
            let gateway = Gateway::of(kind, &upstream).await;
            check(&format!("{kind} {name}"), &gateway.chat(STREAM).await, &wanted);
        }
    }
}

#[tokio::test]
async fn what_a_kind_is_not_known_for_is_passed_on_and_not_mended() {
    let odd = [
        piece(r#"{"role":"assistant","content":"a"}"#, r#""""#),
        piece(r#"{"role":null,"content":"b"}"#, "null"),
        call(r#"{"id":"a","type":"function","function":{"name":"f","arguments":{}}}"#),
        piece("{}", r#""length""#),
        DONE.to_owned(),
    ]
    .concat();
    let upstream = Upstream::of_stream(odd.clone()).await;
    let gateway = Gateway::of("vllm", &upstream).await;
    assert_eq!(gateway.chat(STREAM).await.text(), odd);
}
