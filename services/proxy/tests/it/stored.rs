//! Backends and models that were stored on the broker, beside those of a proxy's own settings.

use crate::gateway::{Gateway, PLAIN, STREAM, backend, hello};
use crate::limits::{broker, connect};
use crate::upstream::Upstream;
use bus::Bus;
use domain::Time;
use domain::models::{
    BackendSpec, Kind, ModelSpec, ModelTable, ModelTimeouts, ProxyReport, ReplicaSpec, UpstreamKey, Wanted,
};
use nats_process::Server;
use proxy::{Config, ModelConfig, ReplicaConfig};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const WITHIN: Duration = Duration::from_secs(20);
const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

fn spec(upstream: &Upstream) -> BackendSpec {
    BackendSpec {
        kind: "openai".to_owned(),
        base_url: upstream.url(),
        api_key: Some(UpstreamKey::new("stored-key")),
        ..BackendSpec::default()
    }
}

fn at(backend: &str, aliases: &[&str]) -> ModelSpec {
    let replica = ReplicaSpec { backend: backend.to_owned(), model: Some("m".to_owned()), weight: None };
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    ModelSpec { aliases, replicas: vec![replica], ..ModelSpec::default() }
}

/// Changes the stored table as the API does.
async fn store(bus: &Bus, change: impl Fn(&mut ModelTable)) {
    let models = bus.models();
    loop {
        let (mut table, last) = models.read().await.unwrap();
        change(&mut table);
        table.revision += 1;
        if models.replace(&table, last).await.unwrap() {
            return;
        }
    }
}

fn put_backend(table: &mut ModelTable, name: &str, spec: BackendSpec) {
    table.put_backend(name, spec, Wanted::Any, Time::from_micros(0)).unwrap();
}

fn put_model(table: &mut ModelTable, name: &str, spec: ModelSpec, others: &[&str]) {
    let others: BTreeSet<String> = others.iter().map(|one| (*one).to_owned()).collect();
    table.put_model(name, spec, &others, Wanted::Any, Time::from_micros(0)).unwrap();
}

async fn until_reply(gateway: &Gateway, model: &str, status: u16) -> crate::client::Reply {
    let begun = Instant::now();
    loop {
        let reply = gateway.chat(&PLAIN.replace("\"m\"", &format!("\"{model}\""))).await;
        if reply.status == status {
            return reply;
        }
        assert!(begun.elapsed() < WITHIN, "never {status}: {} {}", reply.status, reply.text());
        tokio::task::yield_now().await;
    }
}

/// Waits for what one proxy says of itself.
async fn until_told(bus: &Bus, holds: impl Fn(&ProxyReport) -> bool) -> ProxyReport {
    let begun = Instant::now();
    loop {
        let reports = bus.models().reports().await.unwrap();
        if let Some(report) = reports.iter().find(|report| holds(report)) {
            return report.clone();
        }
        assert!(begun.elapsed() < WITHIN, "never told: {reports:?}");
        tokio::task::yield_now().await;
    }
}

async fn proxy(server: &Server, config: Config) -> (Gateway, Bus) {
    let bus = connect(server).await;
    (Gateway::on(&bus, config).await, bus)
}

#[tokio::test]
async fn what_is_stored_holds_at_every_proxy_without_dropping_a_stream() {
    let server = broker().await;
    let go = Arc::new(Notify::new());
    let slow = Upstream::of_stream_in_two(hello(), &go).await;
    let other = Upstream::of_json("200 OK", ANSWER).await;
    let (one, bus) = proxy(&server, Config::default()).await;
    let (two, _bus) = proxy(&server, Config::default()).await;
    store(&bus, |table| {
        put_backend(table, "slow", spec(&slow));
        put_model(table, "chat", at("slow", &["old"]), &[]);
    })
    .await;
    for gateway in [&one, &two] {
        let begun = Instant::now();
        while gateway.get("/v1/models/chat").await.status != 200 {
            assert!(begun.elapsed() < WITHIN, "the model is not known");
            tokio::task::yield_now().await;
        }
    }
    let mut open = two.open("/v1/chat/completions", &STREAM.replace("\"m\"", "\"old\"")).await;
    open.until("Hel").await;
    assert_eq!(slow.requests("/v1/chat/completions")[0].header("authorization"), Some("Bearer stored-key"));

    store(&bus, |table| {
        put_backend(table, "other", spec(&other));
        put_model(table, "chat", at("other", &["new"]), &[]);
        table.remove_backend("slow", Wanted::Any).unwrap();
    })
    .await;
    for gateway in [&one, &two] {
        until_reply(gateway, "new", 200).await;
        until_reply(gateway, "old", 404).await;
    }
    go.notify_one();
    let reply = open.reply().await;
    assert!(reply.whole && reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    store(&bus, |table| *table = ModelTable { revision: table.revision, ..ModelTable::default() }).await;
    for gateway in [&one, &two] {
        until_reply(gateway, "new", 404).await;
        gateway.settled().await;
    }
    // One that begins later knows what was stored before.
    store(&bus, |table| {
        put_backend(table, "other", spec(&other));
        put_model(table, "late", at("other", &[]), &[]);
    })
    .await;
    let (three, _bus) = proxy(&server, Config::default()).await;
    assert_eq!(three.chat(&PLAIN.replace("\"m\"", "\"late\"")).await.status, 200);
}

#[tokio::test]
async fn an_entry_that_cannot_be_used_is_passed_over_with_its_reason_and_takes_nothing_else_down() {
    let server = broker().await;
    let upstream = Upstream::of_json("200 OK", ANSWER).await;
    let replica = |backend: &str| ReplicaConfig { backend: backend.to_owned(), ..ReplicaConfig::default() };
    let own = Config {
        backends: vec![backend("own", "openai", &upstream)],
        models: vec![ModelConfig {
            name: "mine".to_owned(),
            aliases: vec!["also-mine".to_owned()],
            replicas: vec![ReplicaConfig { model: Some("m".to_owned()), ..replica("own") }],
            ..ModelConfig::default()
        }],
        ..Config::default()
    };
    let (gateway, bus) = proxy(&server, own).await;
    store(&bus, |table| {
        put_backend(table, "good", spec(&upstream));
        put_backend(table, "own", BackendSpec { base_url: "http://127.0.0.1:1/v1".to_owned(), ..spec(&upstream) });
        put_backend(
            table,
            "filed",
            BackendSpec { api_key: None, api_key_file: Some("/etc/passwd".to_owned()), ..spec(&upstream) },
        );
        put_model(table, "fine", at("good", &[]), &[]);
        put_model(table, "at-own", at("own", &[]), &[]);
        put_model(table, "taken", at("good", &["also-mine"]), &[]);
        put_model(table, "lost", at("filed", &[]), &[]);
        let mut text = serde_json::to_value(&*table).unwrap();
        text["backends"]["unread"] = json!({"revision": "x"});
        text["models"]["unread"] = json!(["?"]);
        // Nobody stores this over the API; an older or a newer version may have.
        text["backends"]["wrong"] = text["backends"]["good"].clone();
        text["backends"]["wrong"]["spec"]["kind"] = json!("warp");
        *table = serde_json::from_value(text).unwrap();
    })
    .await;
    for model in ["fine", "mine", "also-mine", "at-own"] {
        until_reply(&gateway, model, 200).await;
    }
    let report = until_told(&bus, |report| report.passed_over.len() == 7).await;
    let expected = [
        (Kind::Backend, "own", "own settings"),
        (Kind::Backend, "filed", "GANTRY_PROXY_KEY_DIR"),
        (Kind::Backend, "unread", "cannot be read"),
        (Kind::Backend, "wrong", "warp"),
        (Kind::Model, "taken", "'also-mine' belongs to the model 'mine'"),
        (Kind::Model, "lost", "backend 'filed'"),
        (Kind::Model, "unread", "cannot be read"),
    ];
    for (kind, name, why) in expected {
        let because = report.passed_over(kind, name).unwrap_or_else(|| panic!("{name}: {report:?}"));
        assert!(because.contains(why), "{name}: {because}");
    }
    let health = gateway.get("/health").await.json();
    assert_eq!(health["passed_over"].as_array().map(Vec::len), Some(7), "{health}");
    let names: Vec<_> = report.backends.iter().map(|backend| (backend.name.as_str(), backend.stored)).collect();
    assert_eq!(names, [("own", false), ("good", true)]);
    assert!(!serde_json::to_string(&report).unwrap().contains("stored-key"));
}

#[tokio::test]
async fn a_key_comes_from_a_file_of_the_named_folder_and_a_new_one_is_read_when_it_changes() {
    let server = broker().await;
    let upstream = Upstream::of_json("200 OK", ANSWER).await;
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("keys"), folder.path().join("other"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(&outside, "not-for-you").unwrap();
    std::fs::write(inside.join("good"), "first\n").unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("leads-out")).unwrap();
    let mut config = Config { key_dir: inside.clone(), ..Config::default() };
    config.timeouts.probe = Duration::from_millis(100);
    let (gateway, bus) = proxy(&server, config).await;
    let filed = |file: &str| BackendSpec { api_key: None, api_key_file: Some(file.to_owned()), ..spec(&upstream) };
    store(&bus, |table| {
        put_backend(table, "good", filed("good"));
        put_backend(table, "absolute", filed(inside.join("good").to_str().unwrap()));
        put_backend(table, "link", filed("leads-out"));
        put_backend(table, "up", filed("../other"));
        put_backend(table, "away", filed(outside.to_str().unwrap()));
        put_backend(table, "missing", filed("missing"));
        put_model(table, "chat", at("good", &[]), &[]);
    })
    .await;
    until_reply(&gateway, "chat", 200).await;
    let report = until_told(&bus, |report| !report.passed_over.is_empty()).await;
    let over: BTreeSet<&str> = report.passed_over.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(over, BTreeSet::from(["link", "up", "away", "missing"]), "{report:?}");
    let last = |upstream: &Upstream| {
        let seen = upstream.requests("/v1/chat/completions").pop().unwrap();
        seen.header("authorization").map(str::to_owned)
    };
    assert_eq!(last(&upstream).as_deref(), Some("Bearer first"));

    std::fs::write(inside.join("good"), "second").unwrap();
    let file = std::fs::File::options().write(true).open(inside.join("good")).unwrap();
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(5)).unwrap();
    let begun = Instant::now();
    loop {
        until_reply(&gateway, "chat", 200).await;
        if last(&upstream).as_deref() == Some("Bearer second") {
            break;
        }
        assert!(begun.elapsed() < WITHIN, "the new key is never used");
    }
}

/// Requests that a backend carries now.
async fn carried(gateway: &Gateway, name: &str) -> u64 {
    let health = gateway.get("/health").await.json();
    let backends = health["backends"].as_array().unwrap();
    backends.iter().filter(|one| one["name"] == name).filter_map(|one| one["outstanding"].as_u64()).sum()
}

async fn until_carried(gateway: &Gateway, count: u64) {
    let begun = Instant::now();
    while carried(gateway, "light").await + carried(gateway, "heavy").await != count {
        assert!(begun.elapsed() < WITHIN, "{count} requests are never carried");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stored_times_and_weights_hold() {
    let server = broker().await;
    let silent = Upstream::silent_after("").await;
    let (gateway, bus) = proxy(&server, Config::default()).await;
    let timeouts = ModelTimeouts { total_s: Some(0.05), ..ModelTimeouts::default() };
    let replica = |backend: &str, weight| ReplicaSpec {
        backend: backend.to_owned(),
        model: Some("m".to_owned()),
        weight: Some(weight),
    };
    store(&bus, |table| {
        put_backend(table, "light", spec(&silent));
        put_backend(table, "heavy", BackendSpec { base_url: silent.url() + "/", ..spec(&silent) });
        put_model(table, "brief", ModelSpec { timeouts, ..at("light", &[]) }, &[]);
        let replicas = vec![replica("light", 1), replica("heavy", 3)];
        put_model(table, "m", ModelSpec { replicas, ..ModelSpec::default() }, &[]);
    })
    .await;
    let late = until_reply(&gateway, "brief", 504).await;
    assert_eq!(late.json()["error"]["code"], json!("total_timeout"));
    let mut held = Vec::new();
    for count in 1..=8 {
        // Another prompt each time: one that was seen before goes where it was.
        let body = PLAIN.replace("\"hi\"", &format!("\"{count}\""));
        held.push(gateway.open("/v1/chat/completions", &body).await);
        until_carried(&gateway, count).await;
    }
    assert_eq!(carried(&gateway, "light").await, 2, "a quarter of what runs at once");
    drop(held);
    gateway.settled().await;
}

#[tokio::test]
async fn a_change_elsewhere_leaves_the_places_of_a_model_as_they_are_taken() {
    let server = broker().await;
    let silent = Upstream::silent_after("").await;
    let mut only = backend("own", "openai", &silent);
    only.concurrency = Some(1);
    let (gateway, bus) = proxy(&server, Config { backends: vec![only], ..Config::default() }).await;
    // Nothing but the backend's own list names this model.
    let held = gateway.open("/v1/chat/completions", PLAIN).await;
    silent.until("was asked", |_| !silent.requests("/v1/chat/completions").is_empty()).await;
    store(&bus, |table| put_model(table, "other", at("own", &[]), &["own"])).await;
    until_told(&bus, |report| report.revision > 0).await;
    let next = gateway.open("/v1/chat/completions", PLAIN).await;
    gateway.until_waiting(1).await;
    drop((held, next));
    gateway.settled().await;
}
