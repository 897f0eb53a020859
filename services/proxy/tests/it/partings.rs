//! Backends that do not stop by themselves when a client leaves: they are told, or their answer is read to its end.

use crate::gateway::{DONE, Gateway, PLAIN, STREAM, backend, hello, piece};
use crate::upstream::{Seen, Upstream};
use proxy::{Config, DisconnectRule, ModelConfig, Outcome, ReplicaConfig};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const CHAT: &str = "/v1/chat/completions";
const ABORT: &str = "/abort_request";
/// Ten times what it may take, for a loaded machine.
const LIMIT: Duration = Duration::from_millis(500);
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const WHOLE: &str =
    r#"{"id":"c1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

fn id_of(seen: &Seen) -> Value {
    serde_json::from_slice::<Value>(&seen.body).unwrap()["rid"].clone()
}

/// A backend that begins an answer and waits, and how many connections had been closed when it was told to abort.
async fn waiting(begun: Vec<u8>) -> (Upstream, Arc<AtomicUsize>) {
    let (closed_before, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let before = Arc::clone(&closed_before);
    let upstream = Upstream::start(move |seen, mut conn| {
        let (before, closed, begun) = (Arc::clone(&before), Arc::clone(&closed), begun.clone());
        async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            if seen.path == ABORT {
                before.fetch_add(closed.load(Ordering::SeqCst), Ordering::SeqCst);
                conn.json("200 OK", "").await;
                return Some(conn);
            }
            conn.send(&begun).await;
            conn.hung_up().await;
            closed.fetch_add(1, Ordering::SeqCst);
            None
        }
    })
    .await;
    (upstream, closed_before)
}

/// Leaves once that was seen, and expects the backend to be told in time and before its connection is closed.
async fn aborts(
    gateway: &Gateway,
    upstream: &Upstream,
    closed_before: &AtomicUsize,
    path: &str,
    body: &str,
    seen: &str,
) {
    let mut open = gateway.open(path, body).await;
    upstream.until("was asked", |_| !upstream.requests(CHAT).is_empty()).await;
    if !seen.is_empty() {
        open.until(seen).await;
    }
    let left = Instant::now();
    drop(open);
    upstream.until("was told", |_| !upstream.requests(ABORT).is_empty()).await;
    assert!(left.elapsed() < LIMIT, "{:?}", left.elapsed());
    upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
    assert_eq!(closed_before.load(Ordering::SeqCst), 0, "the connection stood when it was told");
    let (asked, told) = (upstream.requests(CHAT), upstream.requests(ABORT));
    assert_eq!((asked.len(), told.len()), (1, 1));
    let id = id_of(&asked[0]);
    assert!(id.as_str().is_some_and(|id| id.len() == 32), "{id}");
    assert_eq!((id_of(&told[0]), told[0].header("authorization")), (id, Some("Bearer upstream-key")));
    assert_eq!(gateway.accounts.only().await.outcome, Outcome::Aborted);
}

#[tokio::test]
async fn a_backend_that_must_be_told_is_told_in_every_phase_while_its_connection_stands() {
    let first = piece(r#"{"role":"assistant","content":"a"}"#, "null");
    let events = [HEAD, first.as_bytes()].concat();
    let plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_vec();
    let message = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let phases = [
        (Vec::new(), CHAT, STREAM, ""),
        (Vec::new(), CHAT, PLAIN, ""),
        (HEAD.to_vec(), CHAT, STREAM, ""),
        (events, CHAT, STREAM, r#""content":"a""#),
        (plain, CHAT, PLAIN, ""),
        (Vec::new(), CHAT, STREAM, ": keep-alive\n\n"),
        (Vec::new(), "/v1/messages", message, ""),
    ];
    for (begun, path, body, seen) in phases {
        let (upstream, closed_before) = waiting(begun).await;
        let keep_alive = if seen.starts_with(':') { Duration::from_millis(10) } else { Duration::from_secs(15) };
        let gateway = Gateway::watched("sglang", &upstream, |config| config.timeouts.keep_alive = keep_alive).await;
        aborts(&gateway, &upstream, &closed_before, path, body, seen).await;
    }
}

#[tokio::test]
async fn a_backend_that_takes_too_long_is_told_too() {
    let first = piece(r#"{"role":"assistant","content":"a"}"#, "null");
    for (begun, phase) in [(Vec::new(), 0), ([HEAD, first.as_bytes()].concat(), 1), (Vec::new(), 2)] {
        let (upstream, closed_before) = waiting(begun).await;
        let gateway = Gateway::watched("sglang", &upstream, |config| {
            let timeouts = &mut config.timeouts;
            *[&mut timeouts.first_token, &mut timeouts.between_tokens, &mut timeouts.total][phase] =
                Duration::from_millis(500);
        })
        .await;
        let reply = gateway.chat(STREAM).await;
        assert!(reply.status == 504 || reply.text().contains("timeout"), "{phase}: {}", reply.text());
        upstream.until("was told", |_| !upstream.requests(ABORT).is_empty()).await;
        upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
        gateway.settled().await;
        assert_eq!(closed_before.load(Ordering::SeqCst), 0);
        assert_eq!(id_of(&upstream.requests(ABORT)[0]), id_of(&upstream.requests(CHAT)[0]));
        assert!(matches!(gateway.accounts.only().await.outcome, Outcome::Failed(_)));
    }
}

#[tokio::test]
async fn a_request_that_has_ended_is_not_aborted_and_its_id_is_all_that_was_put_into_it() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        match seen.text() {
            body if body.contains("fails") => conn.json("400 Bad Request", r#"{"error":{"message":"no"}}"#).await,
            body if body.contains(r#""stream":true"#) => {
                conn.events().await;
                conn.chunk(hello().as_bytes()).await;
                conn.end().await;
            }
            _ => conn.json("200 OK", WHOLE).await,
        }
        Some(conn)
    })
    .await;
    let gateway = Gateway::watched("sglang", &upstream, |_| {}).await;
    assert!(gateway.chat(STREAM).await.text().ends_with(DONE));
    assert_eq!(gateway.chat(PLAIN).await.status, 200);
    assert_eq!(gateway.chat(r#"{"model":"m", "x":"fails"}"#).await.status, 400);
    gateway.settled().await;
    assert!(upstream.requests(ABORT).is_empty());
    let sent = upstream.requests(CHAT);
    let id = id_of(&sent[1]);
    assert_eq!(sent[1].text(), format!(r#"{{"rid":{id},{}"#, &PLAIN[1..]));
    assert_ne!(id_of(&sent[0]), id);
    assert_eq!(gateway.accounts.all().iter().filter(|one| one.outcome == Outcome::Completed).count(), 2);
}

#[tokio::test]
async fn a_request_with_an_id_of_its_own_or_several_answers_is_left_as_it_is_and_only_hung_up_on() {
    for more in [r#""rid":"mine""#, r#""n":2"#, r#""prompt":["a","b"]"#] {
        let (upstream, _) = waiting(Vec::new()).await;
        let gateway = Gateway::watched("sglang", &upstream, |_| {}).await;
        let body = format!(r#"{{"model":"m",{more}}}"#);
        let open = gateway.open(CHAT, &body).await;
        upstream.until("was asked", |_| !upstream.requests(CHAT).is_empty()).await;
        drop(open);
        upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
        gateway.settled().await;
        assert_eq!((upstream.requests(CHAT)[0].text(), upstream.requests(ABORT).len()), (&*body, 0));
    }
}

#[tokio::test]
async fn one_that_waits_for_its_turn_is_unknown_to_the_backend_and_an_abort_that_fails_closes_all_the_same() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        if seen.path == ABORT {
            conn.json("401 Unauthorized", "{}").await;
            return Some(conn);
        }
        conn.hung_up().await;
        None
    })
    .await;
    let gateway = Gateway::watched("sglang", &upstream, |config| config.backends[0].concurrency = Some(1)).await;
    let first = gateway.open(CHAT, PLAIN).await;
    upstream.until("was asked", |_| !upstream.requests(CHAT).is_empty()).await;
    let second = gateway.open(CHAT, PLAIN).await;
    gateway.until_waiting(1).await;
    drop(second);
    gateway.until_waiting(0).await;
    assert!(upstream.requests(ABORT).is_empty());
    drop(first);
    upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
    assert_eq!((upstream.requests(CHAT).len(), upstream.requests(ABORT).len()), (1, 1));
}

/// A backend that finishes its answers when it is let, whoever is there.
async fn stubborn() -> (Upstream, watch::Sender<bool>) {
    let (go, may) = watch::channel(false);
    let upstream = Upstream::start(move |seen, mut conn| {
        let mut may = may.clone();
        async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            let is_stream = seen.text().contains(r#""stream":true"#);
            if is_stream {
                conn.events().await;
                conn.chunk(piece(r#"{"role":"assistant","content":"a"}"#, "null").as_bytes()).await;
            }
            may.wait_for(|may| *may).await.unwrap();
            if is_stream {
                let usage = r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
                conn.chunk([&piece("{}", r#""stop""#), usage, "\n\n", DONE].concat().as_bytes()).await;
                conn.end().await;
            } else {
                conn.json("200 OK", WHOLE).await;
            }
            Some(conn)
        }
    })
    .await;
    (upstream, go)
}

async fn draining(upstream: &Upstream, change: impl FnOnce(&mut Config)) -> Gateway {
    Gateway::watched("openai", upstream, |config| {
        config.backends[0].on_disconnect = Some(DisconnectRule::Drain);
        config.backends[0].concurrency = Some(1);
        change(config);
    })
    .await
}

#[tokio::test]
async fn a_backend_that_works_on_keeps_its_place_until_it_is_done_and_what_it_used_is_counted() {
    for (body, seen) in [(PLAIN, ""), (STREAM, r#""content":"a""#)] {
        let (upstream, go) = stubborn().await;
        let gateway = draining(&upstream, |_| {}).await;
        let mut first = gateway.open(CHAT, body).await;
        upstream.until("was asked", |_| upstream.requests(CHAT).len() == 1).await;
        if !seen.is_empty() {
            first.until(seen).await;
        }
        drop(first);
        gateway.until_parting(1).await;
        let second = gateway.open(CHAT, body).await;
        gateway.until_waiting(1).await;
        let health = gateway.get("/health").await.json();
        let told = &health["backends"][0];
        assert_eq!((&told["on_disconnect"], &told["outstanding"]), (&json!("drain"), &json!(1)), "{health}");
        assert_eq!((upstream.requests(CHAT).len(), upstream.counts().hung_up), (1, 0));
        go.send_replace(true);
        assert_eq!(second.reply().await.status, 200);
        gateway.settled().await;
        let accounts = gateway.accounts.all();
        let outcomes: Vec<_> = accounts.iter().map(|account| account.outcome.clone()).collect();
        assert_eq!(outcomes, [Outcome::Aborted, Outcome::Completed]);
        let tally = accounts[0].tally;
        assert_eq!((tally.tokens_in, tally.tokens_out, tally.told), (3, 2, true), "{seen}");
    }
}

#[tokio::test]
async fn what_is_read_for_nobody_has_a_bound_in_time_and_in_bytes() {
    let (upstream, _go) = stubborn().await;
    let gateway = draining(&upstream, |config| config.timeouts.total = Duration::from_secs(1)).await;
    let open = gateway.open(CHAT, PLAIN).await;
    upstream.until("was asked", |_| upstream.requests(CHAT).len() == 1).await;
    drop(open);
    gateway.settled().await;
    assert_eq!(gateway.accounts.only().await.outcome, Outcome::Aborted);

    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.events().await;
        let more = piece(&format!(r#"{{"role":"assistant","content":"{}"}}"#, "b".repeat(10_000)), "null");
        conn.flood_until_hung_up(more.as_bytes()).await;
        None
    })
    .await;
    let gateway = draining(&upstream, |config| config.bounds.answer_bytes = 100_000).await;
    let mut open = gateway.open(CHAT, STREAM).await;
    open.until("bbb").await;
    drop(open);
    upstream.until("was hung up on", |counts| counts.hung_up == 1).await;
    gateway.settled().await;
}

#[tokio::test]
async fn nobody_else_is_asked_for_a_client_that_has_left() {
    let (go, may) = watch::channel(false);
    let upstream = Upstream::start(move |seen, mut conn| {
        let mut may = may.clone();
        async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            may.wait_for(|may| *may).await.unwrap();
            conn.reset();
            None
        }
    })
    .await;
    let other = Upstream::of_json("200 OK", WHOLE).await;
    let gateway = draining(&upstream, |config| {
        config.backends.push(backend("two", "openai", &other));
        let model = |name: &str, backend: &str, fallbacks: &[&str]| ModelConfig {
            name: name.to_owned(),
            replicas: vec![ReplicaConfig { backend: backend.to_owned(), ..ReplicaConfig::default() }],
            fallbacks: fallbacks.iter().map(ToString::to_string).collect(),
            ..ModelConfig::default()
        };
        config.models = vec![model("m", "one", &["n"]), model("n", "two", &[])];
    })
    .await;
    let open = gateway.open(CHAT, PLAIN).await;
    upstream.until("was asked", |_| upstream.requests(CHAT).len() == 1).await;
    drop(open);
    gateway.until_parting(1).await;
    go.send_replace(true);
    gateway.settled().await;
    assert_eq!((upstream.requests(CHAT).len(), other.requests(CHAT).len()), (1, 0));
}

#[tokio::test]
async fn those_who_leave_at_any_moment_leave_nothing_behind_whatever_the_rule() {
    for (kind, rule) in [("sglang", None), ("openai", Some(DisconnectRule::Drain))] {
        let upstream = Upstream::start(|seen, mut conn| async move {
            if conn.lists_models(&seen).await || seen.path == ABORT {
                if seen.path == ABORT {
                    conn.json("200 OK", "").await;
                }
                return Some(conn);
            }
            conn.events().await;
            conn.chunk(hello().as_bytes()).await;
            conn.end().await;
            Some(conn)
        })
        .await;
        let gateway = Gateway::watched(kind, &upstream, |config| {
            config.backends[0].on_disconnect = rule;
            config.backends[0].concurrency = Some(8);
        })
        .await;
        let leave = async |number: u64| {
            let open = gateway.open(CHAT, if number.is_multiple_of(3) { PLAIN } else { STREAM }).await;
            // Spread over the phases by a fixed rule, so that a failure can be repeated.
            tokio::time::sleep(Duration::from_micros(number * 7_919 % 5_000)).await;
            drop(open);
        };
        for batch in 0..20 {
            futures::future::join_all((0..20).map(|one| leave(batch * 20 + one))).await;
        }
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_rule_that_a_kind_cannot_follow_is_refused_by_name() {
    let upstream = Upstream::of_json("200 OK", WHOLE).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let refused = |kind: &str, rule: &str| {
        let text = format!(
            "[[backend]]\nname = \"one\"\nkind = \"{kind}\"\nbase_url = \"{}\"\non_disconnect = \"{rule}\"\n",
            upstream.url()
        );
        std::fs::write(&path, text).unwrap();
        let config = Config { file: Some(path.clone()), ..Config::default() };
        proxy::Proxy::new(config).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!((refused("localai", "drain"), refused("sglang", "abort")), (String::new(), String::new()));
    let told = refused("vllm", "abort");
    assert!(told.contains("kind 'vllm' cannot be told to abort") && told.contains("propagate or drain"), "{told}");
    assert!(refused("vllm", "linger").contains("linger"));
}

#[tokio::test]
async fn sound_that_was_read_to_its_end_is_completed_and_sound_that_was_not_is_read_on() {
    let (go, may) = watch::channel(true);
    let upstream = Upstream::start(move |seen, mut conn| {
        let mut may = may.clone();
        async move {
            if !conn.lists_models(&seen).await {
                conn.send(b"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: 8\r\n\r\nRIFF").await;
                may.wait_for(|may| *may).await.unwrap();
                conn.send(&[0, 159, 255, 7]).await;
            }
            Some(conn)
        }
    })
    .await;
    let gateway = draining(&upstream, |_| {}).await;
    let speech = "/v1/audio/speech";
    let reply = gateway.post(speech, PLAIN).await;
    assert!(reply.whole && reply.body.ends_with(&[255, 7]) && reply.header("content-type") == Some("audio/wav"));
    gateway.settled().await;
    assert_eq!(gateway.accounts.only().await.outcome, Outcome::Completed);
    gateway.accounts.forget();
    go.send_replace(false);
    let mut open = gateway.open(speech, PLAIN).await;
    open.until("RIFF").await;
    drop(open);
    gateway.until_parting(1).await;
    go.send_replace(true);
    gateway.settled().await;
    assert_eq!(upstream.counts().hung_up, 0);
    assert_eq!(gateway.accounts.only().await.outcome, Outcome::Aborted);
}
