//! What goes through untouched, and the little that does not.

use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello, piece};
use crate::upstream::Upstream;
use proxy::{BackendConfig, ModelConfig, Outcome, ReplicaConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],  "usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3}}}"#;

#[tokio::test]
async fn a_request_and_its_answer_go_through_byte_for_byte() {
    let upstream = Upstream::of_json("200 OK", ANSWER).await;
    let gateway = Gateway::of("openai", &upstream).await;
    let body = "{ \"model\" : \"m\",\t\"messages\":[{\"role\":\"user\",\"content\":\"h\\u0069 \u{e9}\"}], \"seed\": 1e3, \"unknown\": {\"x\": [1.50]} }";
    let reply = gateway.chat(body).await;
    assert_eq!((reply.status, reply.text()), (200, ANSWER));
    let seen = &upstream.requests("/v1/chat/completions")[0];
    assert_eq!(seen.text(), body);
    assert_eq!(seen.header("authorization"), Some("Bearer upstream-key"));
}

#[tokio::test]
async fn a_stream_goes_through_byte_for_byte_but_for_usage_that_was_not_asked_for() {
    let usage = r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let text = hello().replace("data: [DONE]", &format!("{usage}\n\ndata: [DONE]"));
    let upstream = Upstream::of_stream(text.clone()).await;
    let gateway = Gateway::of("vllm", &upstream).await;

    let reply = gateway.chat(STREAM).await;
    assert_eq!(reply.text(), hello());
    assert!(reply.whole);
    let seen: Value = serde_json::from_str(upstream.requests("/v1/chat/completions")[0].text()).unwrap();
    assert_eq!(seen["stream_options"], json!({"include_usage": true}));
    let account = gateway.accounts.only().await;
    assert_eq!((account.tally.tokens_in, account.tally.tokens_out, account.tally.told), (5, 2, true));
    assert_eq!((account.outcome, account.backend.as_deref()), (Outcome::Completed, Some("one")));

    let asks = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let reply = gateway.chat(asks).await;
    assert_eq!(reply.text(), text);
    assert_eq!(upstream.requests("/v1/chat/completions")[1].text(), asks);
}

#[tokio::test]
async fn an_alias_changes_the_model_and_no_other_byte() {
    let upstream = Upstream::of_json("200 OK", ANSWER).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.models = vec![ModelConfig {
            name: "chat".to_owned(),
            aliases: vec!["gpt-4o".to_owned()],
            replicas: vec![ReplicaConfig { backend: "one".to_owned(), model: Some("m".to_owned()), weight: None }],
            ..ModelConfig::default()
        }];
    })
    .await;
    let reply = gateway.chat(r#"{ "a" : 1.0, "model" : "gpt-4o", "z": [ ] }"#).await;
    assert_eq!(reply.status, 200);
    assert_eq!(upstream.requests("/v1/chat/completions")[0].text(), r#"{ "a" : 1.0, "model" : "m", "z": [ ] }"#);
}

#[tokio::test]
async fn a_request_without_a_model_gets_the_default_one() {
    let upstream = Upstream::of_json("200 OK", ANSWER).await;
    let gateway = Gateway::with("openai", &upstream, |config| config.default_model = Some("m".to_owned())).await;
    assert_eq!(gateway.chat(r#"{"messages":[]}"#).await.status, 200);
    assert_eq!(upstream.requests("/v1/chat/completions")[0].text(), r#"{"model":"m","messages":[]}"#);
}

#[tokio::test]
async fn an_event_reaches_the_client_while_the_backend_is_still_silent_about_the_next() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.events().await;
        conn.chunk(piece(r#"{"role":"assistant","content":"first"}"#, "null").as_bytes()).await;
        conn.hung_up().await;
        None
    })
    .await;
    let gateway = Gateway::of("openai", &upstream).await;
    let mut open = gateway.open("/v1/chat/completions", STREAM).await;
    open.until("first").await;
    drop(open);
    upstream.until("hung up", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
}

#[tokio::test]
async fn a_stream_has_the_headers_that_keep_it_from_being_held_back() {
    let upstream = Upstream::of_stream(hello()).await;
    let gateway = Gateway::of("openai", &upstream).await;
    let headers =
        [("x-request-id", "abc-1"), ("authorization", "Bearer client"), ("cookie", "a=b"), ("x-api-key", "client")];
    let reply = crate::client::call(gateway.address, "POST", "/v1/chat/completions", &headers, STREAM).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    assert_eq!(reply.header("x-request-id"), Some("abc-1"));
    assert_eq!(reply.header("request-id"), Some("abc-1"));
    assert_eq!(reply.header("content-length"), None);
    let seen = &upstream.requests("/v1/chat/completions")[0];
    assert_eq!(seen.header("x-request-id"), Some("abc-1"));
    assert_eq!((seen.header("cookie"), seen.header("x-api-key")), (None, None));
    assert_eq!(seen.header("authorization"), Some("Bearer upstream-key"));
}

#[tokio::test]
async fn connections_to_a_backend_are_used_again_after_streams_and_plain_answers() {
    let upstream = Upstream::of_stream(hello()).await;
    let gateway = Gateway::of("openai", &upstream).await;
    for _ in 0..5 {
        assert!(gateway.chat(STREAM).await.whole);
    }
    assert_eq!(upstream.counts().requests, 5);
    assert!(upstream.counts().connections <= 2, "{:?}", upstream.counts());
}

#[tokio::test]
async fn a_backend_with_few_threads_has_no_connection_left_when_its_answers_are_given() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        let lists = conn.lists_models(&seen).await;
        if !lists && seen.text().contains("\"stream\":true") {
            conn.events().await;
            conn.chunk(hello().as_bytes()).await;
            conn.end().await;
        } else if !lists {
            conn.json("200 OK", ANSWER).await;
        }
        assert_eq!(seen.header("connection"), Some("close"));
        conn.hung_up().await;
        None
    })
    .await;
    let gateway = Gateway::of("llamacpp", &upstream).await;
    for request in [STREAM, PLAIN, STREAM] {
        assert!(gateway.chat(request).await.whole);
    }
    let counts = upstream.until("left alone", |counts| counts.hung_up == counts.connections).await;
    assert_eq!(counts.connections, counts.requests);
}

#[tokio::test]
async fn a_connection_that_the_backend_closed_while_it_was_idle_is_no_failure() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            // Promises to stay, and goes when the next request comes.
            conn.reads_one_more_and_goes().await;
            return None;
        }
        conn.json("200 OK", ANSWER).await;
        Some(conn)
    })
    .await;
    let gateway = Gateway::with("openai", &upstream, |config| config.default_model = Some("m".to_owned())).await;
    assert_eq!(gateway.get("/v1/models").await.status, 200);
    assert_eq!(gateway.chat(PLAIN).await.status, 200);
    assert_eq!(upstream.counts().connections, 2);
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_whole_prompt_was_read_is_passed_on() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refuses = async move {
        // It reads no more, and does not close either.
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 16];
            stream.read_exact(&mut seen).await.unwrap();
            let text = r#"{"error":{"message":"that is too long","type":"invalid_request_error"}}"#;
            let status = if seen.starts_with(b"POST") { "413 Content Too Large" } else { "404 Not Found" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", text.len());
            stream.write_all(format!("{head}\r\n\r\n{text}").as_bytes()).await.unwrap();
            held.push(stream);
        }
    };
    let refuses = tokio::spawn(refuses);
    let mut config = proxy::Config { default_model: Some("m".to_owned()), ..proxy::Config::default() };
    let unused = Upstream::of_json("200 OK", "{}").await;
    config.backends =
        vec![BackendConfig { base_url: format!("http://{address}/v1"), ..backend("one", "openai", &unused) }];
    let gateway = Gateway::start(config).await;
    // More than the buffers of a connection hold.
    let long = PLAIN.replace("hi", &"word ".repeat(3_000_000));
    let reply = gateway.chat(&long).await;
    assert_eq!((reply.status, reply.json()["error"]["message"].as_str()), (413, Some("that is too long")));
    refuses.abort();
}

#[tokio::test]
async fn a_prompt_of_many_pieces_arrives_whole_through_a_slow_connection() {
    let upstream = Upstream::of_json("200 OK", ANSWER).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.models = vec![ModelConfig {
            name: "alias".to_owned(),
            replicas: vec![ReplicaConfig { backend: "one".to_owned(), model: Some("m".to_owned()), weight: None }],
            ..ModelConfig::default()
        }];
    })
    .await;
    let text = "a piece of the prompt ".repeat(400_000);
    let long = format!(r#"{{"before":"{text}","model":"alias","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    assert_eq!(gateway.chat(&long).await.status, 200);
    let seen = &upstream.requests("/v1/chat/completions")[0];
    assert!(seen.text() == long.replace(r#""alias""#, r#""m""#), "{} bytes of {}", seen.body.len(), long.len());
}

#[tokio::test]
async fn embeddings_come_as_base64_from_a_backend_that_only_knows_numbers() {
    let upstream = Upstream::of_json("200 OK", r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#).await;
    let gateway = Gateway::of("ollama", &upstream).await;
    let reply = gateway.post("/v1/embeddings", r#"{"model":"m","input":"x","encoding_format":"base64"}"#).await;
    assert_eq!(reply.json()["data"][0]["embedding"], json!("AACAPwAAAL8="));
    assert_eq!(upstream.requests("/v1/embeddings")[0].text(), r#"{"model":"m","input":"x","encoding_format":"float"}"#);
    let reply = gateway.post("/v1/embeddings", r#"{"model":"m","input":"x"}"#).await;
    assert_eq!(reply.json()["data"][0]["embedding"], json!([1.0, -0.5]));
}

#[tokio::test]
async fn sound_goes_through_as_it_comes_and_a_form_finds_its_model() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.send(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 4\r\n\r\n\x00\xff\x01\x02").await;
        Some(conn)
    })
    .await;
    let gateway = Gateway::of("openai", &upstream).await;
    let reply = gateway.post("/v1/audio/speech", r#"{"model":"m","input":"x"}"#).await;
    assert_eq!((reply.header("content-type"), reply.body.as_slice()), (Some("audio/mpeg"), &b"\x00\xff\x01\x02"[..]));
    let form = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--x--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let reply = crate::client::call(gateway.address, "POST", "/v1/audio/transcriptions", &headers, form).await;
    assert_eq!(reply.status, 200);
    let seen = &upstream.requests("/v1/audio/transcriptions")[0];
    assert_eq!((seen.text(), seen.header("content-type")), (form, Some("multipart/form-data; boundary=x")));
    gateway.settled().await;
}

#[tokio::test]
async fn an_alias_changes_the_model_of_a_form_and_a_key_is_held_to_the_model_that_the_backend_reads() {
    let upstream = Upstream::of_json("200 OK", r#"{"text":"so"}"#).await;
    let gateway = Gateway::with("openai", &upstream, |config| {
        config.models = vec![ModelConfig {
            name: "ears".to_owned(),
            aliases: vec!["whisper-1".to_owned()],
            replicas: vec![ReplicaConfig { backend: "one".to_owned(), model: Some("m".to_owned()), weight: None }],
            ..ModelConfig::default()
        }];
        let (name, hash, models) = ("k".to_owned(), proxy::hash_key("k"), vec!["whisper-1".to_owned()]);
        config.keys = vec![proxy::KeyConfig { name, hash, models, ..proxy::KeyConfig::default() }];
    })
    .await;
    let file = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nname=\"model\"\r\n\r\nwhisper-1\r\n\r\n";
    let form = |model: &str| {
        format!("{file}--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--x--\r\n")
    };
    let headers = [("content-type", "multipart/form-data; boundary=x"), ("x-api-key", "k")];
    let send = async |form: &str| {
        crate::client::call(gateway.address, "POST", "/v1/audio/transcriptions", &headers, form).await
    };
    let reply = send(&form("whisper-1")).await;
    assert_eq!((reply.status, reply.text()), (200, r#"{"text":"so"}"#));
    assert_eq!(upstream.requests("/v1/audio/transcriptions")[0].text(), form("m"));
    assert_eq!(send(&form("m")).await.status, 403, "what stands in the file is not what is asked for");
    let twice =
        form("whisper-1").replace("--x--", "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--x--");
    let reply = send(&twice).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("invalid_body")));
    assert_eq!(upstream.requests("/v1/audio/transcriptions").len(), 1);
}

#[tokio::test]
async fn responses_reranks_and_pictures_go_through_byte_for_byte_and_are_counted() {
    for (path, answer, tokens) in [
        ("/v1/responses", r#"{"id":"r1","object":"response","usage":{"input_tokens":3,"output_tokens":2}}"#, (3, 2)),
        ("/v1/rerank", r#"{"results":[{"index":0,"relevance_score":0.5}],"usage":{"prompt_tokens":4}}"#, (4, 0)),
        (
            "/v1/images/generations",
            r#"{"created":1,"data":[{"b64_json":"AA"}],"usage":{"input_tokens":5,"output_tokens":6}}"#,
            (5, 6),
        ),
    ] {
        let upstream = Upstream::of_json("200 OK", answer).await;
        let gateway = Gateway::of("openai", &upstream).await;
        let body = r#"{ "model":"m", "input":"x", "unknown":1.0 }"#;
        let reply = gateway.post(path, body).await;
        assert_eq!((reply.status, reply.text()), (200, answer), "{path}");
        assert_eq!(upstream.requests(path)[0].text(), body, "{path}");
        let account = gateway.accounts.only().await;
        assert_eq!((account.tally.tokens_in, account.tally.tokens_out, account.route), (tokens.0, tokens.1, path));
    }
}

#[tokio::test]
async fn counting_tokens_uses_none() {
    let upstream = Upstream::of_json("200 OK", r#"{"input_tokens":21}"#).await;
    for (kind, told) in [("llamacpp", Some(21)), ("openai", None)] {
        let gateway = Gateway::of(kind, &upstream).await;
        let reply = gateway.post("/v1/messages/count_tokens", PLAIN).await;
        let count = reply.json()["input_tokens"].as_u64();
        assert!(count.is_some() && told.is_none_or(|told| count == Some(told)), "{kind}: {}", reply.text());
        let tally = gateway.accounts.only().await.tally;
        assert_eq!((tally.tokens_in, tally.tokens_out, tally.told), (0, 0, true), "{kind}");
    }
}
