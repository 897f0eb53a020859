//! A backend that dies at every point of an answer, in every way that a connection can end: what the client gets says so.

use crate::client::{Reply, call};
use crate::gateway::{DONE, Gateway, PLAIN, STREAM, backend, hello, piece};
use crate::upstream::{Conn, Upstream};
use proxy::{BackendConfig, Config, ModelConfig, Outcome, ReplicaConfig};
use serde_json::{Value, json};

/// How far the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The request was read, and that is all.
    Silent,
    PartOfHead,
    Head,
    /// A stream that so far only says that it is alive.
    Comment,
    PartOfFirst,
    /// The first event, or the first half of a whole answer.
    First,
    PartOfSecond,
    Second,
    /// Everything that matters; what closes the stream is missing.
    Finish,
}

const PHASES: [Phase; 9] = [
    Phase::Silent,
    Phase::PartOfHead,
    Phase::Head,
    Phase::Comment,
    Phase::PartOfFirst,
    Phase::First,
    Phase::PartOfSecond,
    Phase::Second,
    Phase::Finish,
];

/// How the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Closed,
    Reset,
    /// The body is ended as if it were whole.
    Ended,
    /// What follows is no HTTP.
    Garbled,
}

const WAYS: [Way; 4] = [Way::Closed, Way::Reset, Way::Ended, Way::Garbled];

/// What is asked, and of what kind of backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Chat,
    /// An Anthropic request that is translated.
    Translated,
    /// One that its backend understands.
    Native,
    /// Without a stream.
    Whole,
}

const MESSAGE: &str = r#"{"model":"m","stream":true,"max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;

impl Ask {
    fn kind(self) -> &'static str {
        if self == Self::Native { "llamacpp" } else { "openai" }
    }

    /// The events of a good answer, up to what closes it.
    fn events(self) -> Vec<String> {
        if self != Self::Native {
            return vec![
                piece(r#"{"role":"assistant","content":"Hel"}"#, "null"),
                piece(r#"{"content":"lo"}"#, "null"),
                piece("{}", r#""stop""#),
            ];
        }
        let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
        vec![
            event("message_start", r#","message":{"usage":{"input_tokens":3,"output_tokens":0}}"#),
            event("content_block_delta", r#","index":0,"delta":{"type":"text_delta","text":"Hel"}"#),
            event("message_delta", r#","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}"#),
        ]
    }

    async fn send(self, gateway: &Gateway) -> Reply {
        let (path, body) = match self {
            Self::Chat => ("/v1/chat/completions", STREAM),
            Self::Whole => ("/v1/chat/completions", PLAIN),
            Self::Translated | Self::Native => ("/v1/messages", MESSAGE),
        };
        call(gateway.address, "POST", path, &[], body).await
    }
}

/// A death, in words for a failure.
#[derive(Clone, Copy, Debug)]
struct Death {
    ask: Ask,
    phase: Phase,
    way: Way,
}

impl Death {
    /// Those that exist: only a body that has begun can be ended, and a whole answer has fewer steps.
    fn all(ask: Ask) -> Vec<Self> {
        let every = PHASES.iter().flat_map(|&phase| WAYS.map(|way| Self { ask, phase, way }));
        every
            .filter(|death| death.way != Way::Ended || death.phase >= Phase::Head)
            .filter(|death| ask != Ask::Whole || !matches!(death.phase, Phase::Comment | Phase::PartOfSecond))
            .filter(|death| ask != Ask::Whole || death.phase < Phase::Second)
            .collect()
    }

    async fn act(self, mut conn: Conn) -> Option<Conn> {
        if self.phase >= Phase::Head {
            self.head(&mut conn).await;
            if self.ask == Ask::Whole {
                let part = if self.phase == Phase::Head { 0 } else { ANSWER.len() / 2 };
                conn.chunk(&ANSWER.as_bytes()[..part]).await;
            } else {
                self.stream(&mut conn).await;
            }
        } else if self.phase == Phase::PartOfHead {
            conn.send(b"HTTP/1.1 200 OK\r\ncontent-").await;
        }
        match self.way {
            Way::Closed => {}
            Way::Reset => conn.reset(),
            Way::Garbled => conn.send(b"\x00\xffnonsense\r\n\r\n").await,
            Way::Ended => {
                conn.end().await;
                return Some(conn);
            }
        }
        None
    }

    async fn head(self, conn: &mut Conn) {
        let kind = if self.ask == Ask::Whole { "application/json" } else { "text/event-stream" };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.send(head.as_bytes()).await;
    }

    async fn stream(self, conn: &mut Conn) {
        if self.phase >= Phase::Comment {
            conn.chunk(b": alive\n\n").await;
        }
        let events = self.ask.events();
        let steps = [Phase::PartOfFirst, Phase::First, Phase::PartOfSecond, Phase::Second, Phase::Finish];
        for (number, step) in steps.iter().enumerate().filter(|(_, step)| self.phase >= **step) {
            let event = &events[number / 2];
            let is_part = matches!(step, Phase::PartOfFirst | Phase::PartOfSecond);
            if !is_part {
                conn.chunk(event.as_bytes()).await;
            } else if self.phase == *step {
                conn.chunk(&event.as_bytes()[..event.len() / 2]).await;
            }
        }
    }

    /// A backend that dies so at every inference request.
    async fn upstream(self) -> Upstream {
        Upstream::start(move |seen, mut conn| async move {
            if conn.lists_models(&seen).await {
                return Some(conn);
            }
            self.act(conn).await
        })
        .await
    }

    /// Whether all that the client was to have is there.
    fn is_whole(self) -> bool {
        // An Anthropic stream is whole with its last event only, and a translated one tells tokens there, which a cut
        // takes away; the other is whole with its reason to finish.
        let is_enough = self.ask == Ask::Chat || (self.ask == Ask::Translated && self.way == Way::Ended);
        self.phase == Phase::Finish && is_enough
    }

    /// Whether nothing of an answer has come, so that somebody else may give it.
    fn is_unseen(self) -> bool {
        self.ask == Ask::Whole || self.phase < Phase::First
    }
}

fn check(death: Death, reply: &Reply) {
    let text = reply.text();
    if death.is_whole() {
        assert!(reply.status == 200 && reply.whole, "{death:?}: {} {text}", reply.status);
        return;
    }
    if death.is_unseen() {
        assert!(reply.whole && (500..600).contains(&reply.status), "{death:?}: {} {text}", reply.status);
        let body = reply.json();
        let kind = if death.ask == Ask::Chat || death.ask == Ask::Whole { "upstream_error" } else { "api_error" };
        assert_eq!(body["error"]["type"], json!(kind), "{death:?}: {text}");
        assert!(
            body["error"]["message"].as_str().is_some_and(|message| message.contains("'one'")),
            "{death:?}: {text}"
        );
        return;
    }
    assert!(reply.status == 200 && !reply.whole, "{death:?} looks whole: {text}");
    assert!(!text.contains("[DONE]") && !text.contains("message_stop"), "{death:?}: {text}");
    let last: Value = serde_json::from_str(reply.data().last().expect("an event")).expect("JSON");
    assert!(last["error"]["message"].as_str().is_some_and(|message| message.contains("'one'")), "{death:?}: {text}");
    assert!(!text.contains(r#""finish_reason":"stop""#), "{death:?}: {text}");
}

async fn every_death(ask: Ask) {
    for death in Death::all(ask) {
        let upstream = death.upstream().await;
        let gateway = Gateway::of(ask.kind(), &upstream).await;
        check(death, &ask.send(&gateway).await);
        let outcome = gateway.accounts.only().await.outcome;
        assert_eq!(outcome == Outcome::Completed, death.is_whole(), "{death:?}: {outcome:?}");
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_stream_says_so_wherever_its_backend_dies() {
    every_death(Ask::Chat).await;
}

#[tokio::test]
async fn a_translated_stream_says_so_wherever_its_backend_dies() {
    every_death(Ask::Translated).await;
}

#[tokio::test]
async fn an_anthropic_stream_says_so_wherever_its_backend_dies() {
    every_death(Ask::Native).await;
}

#[tokio::test]
async fn a_plain_answer_is_an_error_wherever_its_backend_dies() {
    every_death(Ask::Whole).await;
}

/// Two backends of one model, of which the first is asked first.
async fn pair(first: BackendConfig, second: &Upstream) -> Gateway {
    let replicas = [("a", 1_000), ("b", 1)];
    let replicas =
        replicas.map(|(name, weight)| ReplicaConfig { backend: name.to_owned(), model: None, weight: Some(weight) });
    let model = ModelConfig { name: "m".to_owned(), replicas: replicas.into(), ..ModelConfig::default() };
    let backends = vec![first, backend("b", "openai", second)];
    Gateway::start(Config { backends, models: vec![model], ..Config::default() }).await
}

#[tokio::test]
async fn another_replica_gives_the_answer_of_which_nothing_had_come() {
    let good = Upstream::of_stream(hello()).await;
    for death in Death::all(Ask::Chat).into_iter().filter(|death| death.is_unseen()) {
        let bad = death.upstream().await;
        let gateway = pair(backend("a", "openai", &bad), &good).await;
        let reply = gateway.chat(STREAM).await;
        assert_eq!((reply.status, reply.whole, reply.text()), (200, true, hello().as_str()), "{death:?}");
        assert_eq!(bad.requests("/v1/chat/completions").len(), 1, "{death:?} was not asked once");
        gateway.settled().await;
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_is_never_begun_again_elsewhere() {
    let good = Upstream::of_stream(hello()).await;
    for death in Death::all(Ask::Chat).into_iter().filter(|death| !death.is_unseen() && !death.is_whole()) {
        let bad = death.upstream().await;
        let gateway = pair(backend("a", "openai", &bad), &good).await;
        let reply = gateway.chat(STREAM).await;
        assert!(!reply.whole && !reply.text().contains("[DONE]"), "{death:?}: {}", reply.text());
        gateway.settled().await;
    }
    assert_eq!(good.requests("/v1/chat/completions").len(), 0);
}

#[tokio::test]
async fn a_backend_that_takes_connections_and_drops_them_unread_is_left_for_another() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let good = Upstream::of_stream(hello()).await;
    let mut bad = backend("a", "openai", &good);
    bad.base_url = format!("http://{address}/v1");
    let gateway = pair(bad, &good).await;
    for request in [STREAM, STREAM, STREAM] {
        let reply = gateway.chat(request).await;
        assert_eq!((reply.status, reply.text()), (200, hello().as_str()));
    }
    gateway.settled().await;
}

/// Numbers that look random and are the same in every run.
fn dice(seed: &mut u64, sides: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap() % sides
}

/// A good stream with some of its bytes changed, repeated, left out or cut off.
fn damaged(seed: u64) -> Vec<u8> {
    let mut bytes = Ask::Chat.events().concat().into_bytes();
    let mut roll = seed;
    bytes.extend_from_slice(DONE.as_bytes());
    for _ in 0..=dice(&mut roll, 3) {
        let at = dice(&mut roll, bytes.len());
        let until = (at + 1 + dice(&mut roll, 40)).min(bytes.len());
        match dice(&mut roll, 5) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = u8::try_from(dice(&mut roll, 256)).unwrap(),
            2 => bytes[at] = b"\n\r\"{}[]:,\\"[dice(&mut roll, 10)],
            3 => drop(bytes.drain(at..until)),
            _ => {
                let again = bytes[at..until].to_vec();
                bytes.splice(at..at, again);
            }
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

#[tokio::test]
async fn no_damaged_stream_looks_whole_without_a_reason_to_finish() {
    const STREAMS: u64 = 2_000;
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        let seed = seen.text().split("seed ").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        conn.events().await;
        conn.chunk(&damaged(seed)).await;
        conn.end().await;
        Some(conn)
    })
    .await;
    let (mut good, mut bad) = (0, 0);
    let gateway = Gateway::of("openai", &upstream).await;
    for seed in 0..STREAMS {
        let reply = gateway.chat(&STREAM.replace("hi", &format!("seed {seed}"))).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        if reply.status != 200 {
            assert!(reply.whole && reply.json()["error"]["message"].is_string(), "seed {seed}: {text}");
            bad += 1;
            continue;
        }
        let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (last, chunks) = data.split_last().unwrap();
        let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect();
        let ends = chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"].is_string());
        if reply.whole {
            assert!(*last == "[DONE]" && ends, "seed {seed} looks whole: {text}");
            good += 1;
        } else {
            let error: Value = serde_json::from_str(last).expect("JSON");
            assert!(error["error"]["message"].is_string(), "seed {seed} does not say why: {text}");
            bad += 1;
        }
    }
    assert_eq!(upstream.requests("/v1/chat/completions").len() as u64, STREAMS, "not every stream was asked for");
    assert!(good > 20 && bad > 500, "{good} whole and {bad} broken streams show little");
    gateway.settled().await;
}
