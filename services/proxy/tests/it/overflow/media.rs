//! Sound, pictures and forms as jobs: what goes in is kept to the byte, what comes out has its type.

use super::{ASYNC, CHAT, configured, id_of, proxy, send, until};
use crate::client::{Open, Reply, call};
use crate::gateway::{Gateway, PLAIN};
use crate::limits::broker;
use crate::upstream::Upstream;
use base64::Engine;
use nats_process::Server;
use serde_json::json;
use tokio::sync::watch;

const SOUND: [u8; 8] = [b'R', b'I', b'F', b'F', 0, 159, 255, 7];
const SPEECH: &str = "/v1/audio/speech";
const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";

/// A backend that speaks, writes down and paints once it may, and whose only place is taken.
async fn studio() -> (Upstream, Gateway, watch::Sender<bool>, Server) {
    let (server, (go, may)) = (broker().await, watch::channel(false));
    let upstream = Upstream::start(move |seen, mut conn| {
        let mut may = may.clone();
        async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            tokio::select! {
                may = may.wait_for(|may| *may) => drop(may),
                () = conn.hung_up() => return None,
            }
            match seen.path.as_str() {
                SPEECH => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: 8\r\n\r\n";
                    conn.send(&[head.as_bytes(), &SOUND].concat()).await;
                }
                TRANSCRIPTIONS => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\n";
                    conn.send(format!("{head}so be\n").as_bytes()).await;
                }
                _ => conn.json("200 OK", r#"{"created":1,"data":[{"b64_json":"AA=="}]}"#).await,
            }
            Some(conn)
        }
    })
    .await;
    let gateway = proxy(&server, configured(&upstream)).await;
    (upstream, gateway, go, server)
}

async fn fill(gateway: &Gateway, upstream: &Upstream) -> Open {
    let open = Open::send(gateway.address, "POST", CHAT, &[("x-api-key", "bob")], PLAIN).await;
    upstream.until("was asked", |_| !upstream.requests(CHAT).is_empty()).await;
    open
}

async fn result(gateway: &Gateway, id: &str) -> Reply {
    send(gateway, "GET", &format!("/v1/jobs/{id}/result"), &[], "").await
}

#[tokio::test]
async fn sound_and_pictures_are_fetched_with_their_type_and_every_byte() {
    let (upstream, gateway, go, _server) = studio().await;
    let held = fill(&gateway, &upstream).await;
    let text = r#"{"model":"m","input":"hi","stream_format":"sse"}"#;
    let speech = id_of(&send(&gateway, "POST", SPEECH, &[ASYNC], text).await);
    let picture = id_of(&send(&gateway, "POST", "/v1/images/generations", &[ASYNC], r#"{"model":"m"}"#).await);
    let early = result(&gateway, &speech).await;
    assert_eq!((early.status, &early.json()["error"]["code"]), (409, &json!("job_has_no_answer")), "{}", early.text());
    assert!(early.text().contains("it is queued") && early.header("x-should-retry") == Some("false"));
    go.send_replace(true);
    assert_eq!(held.reply().await.status, 200);
    let done = until(&gateway, &speech, "completed").await;
    let response = &done["response"];
    assert_eq!(
        (&response["body_encoding"], &response["headers"]["content-type"]),
        (&json!("base64"), &json!("audio/wav"))
    );
    let bytes = base64::engine::general_purpose::STANDARD.decode(response["body"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, SOUND);
    let fetched = result(&gateway, &speech).await;
    assert_eq!(
        (fetched.status, fetched.header("content-type"), &fetched.body[..]),
        (200, Some("audio/wav"), &SOUND[..])
    );
    assert!(
        upstream.requests(SPEECH)[0].text().ends_with(r#""stream_format":"audio"}"#),
        "nobody is there to take events"
    );
    let painted = until(&gateway, &picture, "completed").await;
    assert_eq!(
        (&painted["response"]["body_encoding"], painted["response"]["body"]["created"].as_u64()),
        (&json!("json"), Some(1))
    );
    assert_eq!(result(&gateway, &picture).await.json()["data"][0]["b64_json"], "AA==");
    let foreign = call(gateway.address, "GET", &format!("/v1/jobs/{speech}/result"), &[("x-api-key", "bob")], "").await;
    assert_eq!(foreign.status, 404);
    gateway.settled().await;
}

#[tokio::test]
async fn a_form_is_kept_as_it_was_sent_and_is_the_same_under_another_boundary() {
    let (upstream, gateway, go, _server) = studio().await;
    let held = fill(&gateway, &upstream).await;
    let form = |boundary: &str, stream: &str| {
        let part = |what: &str, value: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; {what}\r\n\r\n{value}\r\n")
        };
        let file = part("name=\"file\"; filename=\"a.wav\"", "RIFF\u{1f}\r\n{\"stream\":true}");
        [part("name=\"model\"", "m"), file, part("name=\"stream\"", stream), format!("--{boundary}--\r\n")].concat()
    };
    let ask = async |boundary: &str, stream: &str| {
        let kind = format!("multipart/form-data; boundary={boundary}");
        let headers = [ASYNC, ("content-type", kind.as_str()), ("idempotency-key", "one")];
        send(&gateway, "POST", TRANSCRIPTIONS, &headers, &form(boundary, stream)).await
    };
    let id = id_of(&ask("first", "true").await);
    assert_eq!(id_of(&ask("second", "true").await), id, "a client that asks again chooses a new boundary");
    let other = ask("first", "false").await;
    assert_eq!(other.json()["error"]["code"], "idempotency_key_reused", "{}", other.text());
    go.send_replace(true);
    assert_eq!(held.reply().await.status, 200);
    let done = until(&gateway, &id, "completed").await;
    assert_eq!((&done["model"], &done["response"]["body_encoding"]), (&json!("m"), &json!("text")));
    assert_eq!(done["response"]["body"], "so be\n");
    let sent = upstream.requests(TRANSCRIPTIONS);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("content-type"), Some("multipart/form-data; boundary=first"));
    assert_eq!(sent[0].text(), form("first", "false"), "all of it but the wish for events");
    assert_eq!(result(&gateway, &id).await.header("content-type"), Some("text/plain"));
    gateway.settled().await;
}
