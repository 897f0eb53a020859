//! Keys and limits that several proxies on one broker share.

use crate::client::{Open, Reply, call};
use crate::gateway::{Gateway, PLAIN, STREAM, backend, piece};
use crate::upstream::Upstream;
use bus::{Bus, BusOptions, Connection};
use domain::Time;
use domain::keys::{KeyLimits, KeyRecord, hash_key};
use nats_process::Server;
use proxy::Config;
use serde_json::json;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn broker() -> Server {
    Server::builder().start().await.unwrap()
}

pub(crate) async fn connect(server: &Server) -> Bus {
    let connection = Connection { urls: vec![server.url()], name: "test".to_owned(), ..Connection::default() };
    bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap()
}

fn record(limits: KeyLimits) -> KeyRecord {
    let now = Time::from_micros(0);
    KeyRecord {
        id: "key_1".to_owned(),
        name: "alice".to_owned(),
        hash: hash_key("secret"),
        tenant: None,
        scopes: Vec::new(),
        models: Vec::new(),
        limits,
        created_at: now,
        updated_at: now,
        revoked_at: None,
    }
}

async fn proxy(server: &Server, upstream: &Upstream) -> Gateway {
    let backends = vec![backend("one", "openai", upstream)];
    Gateway::on(&connect(server).await, Config { backends, ..Config::default() }).await
}

async fn ask(gateway: &Gateway) -> Reply {
    call(gateway.address, "POST", "/v1/chat/completions", &[("x-api-key", "secret")], PLAIN).await
}

async fn answering() -> Upstream {
    Upstream::of_json("200 OK", r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#).await
}

/// Asks until the answer has that status.
async fn until_status(gateway: &Gateway, status: u16) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = ask(gateway).await;
        if reply.status == status {
            return reply;
        }
        assert!(begun.elapsed() < WITHIN, "never {status}, at last {}", reply.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends so many requests, eight at once; how many were let through.
async fn flood(gateway: &Gateway, requests: usize) -> usize {
    let mut through = 0;
    for _ in 0..requests.div_ceil(8) {
        let replies = futures::future::join_all((0..8).map(|_| ask(gateway))).await;
        for reply in replies {
            assert!(matches!(reply.status, 200 | 429), "{}", reply.text());
            through += usize::from(reply.status == 200);
            if reply.status == 429 {
                let wait: u64 = reply.header("retry-after-ms").unwrap().parse().unwrap();
                assert!((1..=60_000).contains(&wait), "{wait}");
            }
        }
    }
    through
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_at_every_proxy_as_soon_as_it_is_made_and_at_none_once_it_is_revoked() {
    let (server, upstream) = (broker().await, answering().await);
    let (one, two) = (proxy(&server, &upstream).await, proxy(&server, &upstream).await);
    assert_eq!(one.chat(PLAIN).await.status, 200, "without any key the door is open to this machine");
    let keys = connect(&server).await.keys();
    let mut key = record(KeyLimits::default());
    assert!(keys.replace(&key, 0).await.unwrap());
    assert!(!keys.replace(&key, 0).await.unwrap(), "who has not read it does not replace it");
    for gateway in [&one, &two] {
        until_status(gateway, 200).await;
        let begun = Instant::now();
        while gateway.chat(PLAIN).await.status != 401 {
            assert!(begun.elapsed() < WITHIN, "a key is there, and nobody is asked for it");
        }
    }
    let late = proxy(&server, &upstream).await;
    assert_eq!(ask(&late).await.status, 200, "a proxy that starts later knows it from the first request on");
    let (_, last) = keys.read("alice").await.unwrap().unwrap();
    key.revoked_at = Some(Time::from_micros(1));
    assert!(keys.replace(&key, last).await.unwrap());
    for gateway in [&one, &two, &late] {
        until_status(gateway, 401).await;
        assert_eq!(gateway.chat(PLAIN).await.status, 401, "the last key that goes opens no door");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_together_let_no_more_requests_through_in_a_minute_than_the_key_may() {
    let (server, upstream) = (broker().await, answering().await);
    let limits = KeyLimits { requests_per_minute: Some(60), ..KeyLimits::default() };
    connect(&server).await.keys().replace(&record(limits), 0).await.unwrap();
    let (one, two) = (proxy(&server, &upstream).await, proxy(&server, &upstream).await);
    let begun = Instant::now();
    let (first, second) = tokio::join!(flood(&one, 96), flood(&two, 96));
    // One more fills each second; and one, because the counter rounds up to whole requests.
    let most = 60.0 + begun.elapsed().as_secs_f64() + 1.0;
    assert!((first + second) as f64 <= most, "{first} + {second} of {most}");
    assert!(first + second >= 54, "{first} + {second}: no more than a slice lies idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_together_stop_when_the_tokens_of_a_minute_are_used() {
    let (server, upstream) = (broker().await, answering().await);
    let limits = KeyLimits { tokens_per_minute: Some(100), ..KeyLimits::default() };
    connect(&server).await.keys().replace(&record(limits), 0).await.unwrap();
    let (one, two) = (proxy(&server, &upstream).await, proxy(&server, &upstream).await);
    let begun = Instant::now();
    let mut through = 0.0;
    for _ in 0..40 {
        for gateway in [&one, &two] {
            through += f64::from(u8::from(ask(gateway).await.status == 200));
        }
    }
    // Five tokens each; a proxy may go into debt by its last request, here one at a time.
    let most = (100.0 + begun.elapsed().as_secs_f64() * 100.0 / 60.0) / 5.0 + 2.0;
    assert!(through <= most && through >= 16.0, "{through} of {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_together_run_no_more_at_once_than_the_key_may_and_places_move_to_where_they_are_needed() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.hung_up().await;
        None
    })
    .await;
    let server = broker().await;
    let limits = KeyLimits { concurrent: Some(4), ..KeyLimits::default() };
    connect(&server).await.keys().replace(&record(limits), 0).await.unwrap();
    let gateways = [proxy(&server, &upstream).await, proxy(&server, &upstream).await];
    let open = async |gateway: &Gateway| {
        Open::send(gateway.address, "POST", "/v1/chat/completions", &[("x-api-key", "secret")], PLAIN).await
    };
    let mut held = vec![open(&gateways[0]).await];
    let asked = || upstream.requests("/v1/chat/completions").len();
    gateways[0].until_open(1).await;
    for number in 1..=4 {
        // Wherever there is no place now there is one soon: idle ones are given back.
        let begun = Instant::now();
        while asked() < number {
            if number > 1 {
                held.push(open(&gateways[1]).await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(begun.elapsed() < WITHIN, "place {number} never came");
        }
    }
    for gateway in &gateways {
        let reply = ask(gateway).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    }
    assert_eq!(asked(), 4);
    drop(held);
    for gateway in &gateways {
        gateway.settled().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_each_proxy_has_its_share_and_afterwards_they_share_again() {
    let (mut server, upstream) = (broker().await, answering().await);
    let limits = KeyLimits { requests_per_minute: Some(600), ..KeyLimits::default() };
    connect(&server).await.keys().replace(&record(limits), 0).await.unwrap();
    let (one, two) = (proxy(&server, &upstream).await, proxy(&server, &upstream).await);
    for gateway in [&one, &two, &one] {
        assert_eq!(ask(gateway).await.status, 200);
    }
    server.kill9().await;
    let begun = Instant::now();
    let (first, second) = tokio::join!(flood(&one, 400), flood(&two, 400));
    // What was given out before, and ten a second for the first, which may still think that it is alone, beside five for
    // the second.
    let most = 120.0 + begun.elapsed().as_secs_f64() * 15.0 + 2.0 * (600.0 / 120.0);
    assert!((first + second) as f64 <= most, "{first} + {second} of {most}");
    assert!(first >= 5 && second >= 5, "{first} and {second}: the key is served all the same");
    server.restart().await.unwrap();
    until_status(&one, 200).await;
    until_status(&two, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_when_its_key_is_revoked_and_the_next_one_does_not_begin() {
    let upstream = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.events().await;
        conn.chunk_until_hung_up(piece(r#"{"content":"b"}"#, "null").as_bytes(), Duration::from_millis(5)).await;
        None
    })
    .await;
    let server = broker().await;
    let keys = connect(&server).await.keys();
    let mut key = record(KeyLimits { concurrent: Some(2), ..KeyLimits::default() });
    keys.replace(&key, 0).await.unwrap();
    let gateway = proxy(&server, &upstream).await;
    let headers = [("x-api-key", "secret")];
    let mut open = Open::send(gateway.address, "POST", "/v1/chat/completions", &headers, STREAM).await;
    open.until("content").await;
    let (_, last) = keys.read("alice").await.unwrap().unwrap();
    key.revoked_at = Some(Time::from_micros(1));
    assert!(keys.replace(&key, last).await.unwrap());
    let begun = Instant::now();
    while call(gateway.address, "GET", "/v1/models", &headers, "").await.status != 401 {
        assert!(begun.elapsed() < WITHIN, "the key is still good");
    }
    open.more().await;
    drop(open);
    gateway.settled().await;
}
