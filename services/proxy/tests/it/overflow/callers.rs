//! Jobs as their callers see them: looked at, listed, followed, told of, limited by their key.

use super::{ASYNC, CHAT, Gate, WITHIN, ask, code, configured, fill, full, id_of, proxy, send, until};
use crate::client::{Open, call};
use crate::gateway::{Gateway, PLAIN};
use crate::limits::{broker, connect};
use crate::upstream::Upstream;
use domain::Time;
use domain::keys::{KeyLimits, KeyRecord, hash_key};
use domain::notices::{AllowedTargets, Carried, Outgoing};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[tokio::test]
async fn only_its_caller_sees_a_job() {
    let (_gate, gateway, _held, _server) = full(|_| {}).await;
    let id = id_of(&ask(&gateway, &[]).await);
    let unknown = format!("job_{}", "0".repeat(32));
    for (method, path) in [
        ("GET", format!("/v1/jobs/{id}")),
        ("DELETE", format!("/v1/jobs/{id}")),
        ("POST", format!("/v1/jobs/{id}/cancel")),
        ("GET", format!("/v1/jobs/{id}/events")),
    ] {
        let foreign = call(gateway.address, method, &path, &[("x-api-key", "bob")], "").await;
        assert_eq!((foreign.status, code(&foreign)), (404, json!("job_not_found")), "{method} {path}");
        let none = send(&gateway, method, &path.replace(&id, &unknown), &[], "").await;
        assert_eq!(none.text().replace(&unknown, &id), foreign.text(), "it cannot be told from one that never was");
        let nobody = call(gateway.address, method, &path, &[], "").await;
        assert_eq!(nobody.status, 401, "{method} {path}");
    }
    let listed = call(gateway.address, "GET", "/v1/jobs", &[("x-api-key", "bob")], "").await;
    assert_eq!(listed.json()["data"], json!([]));
    assert_eq!(send(&gateway, "GET", "/v1/jobs/no%20such", &[], "").await.status, 404);
}

#[tokio::test]
async fn events_push_each_change_and_end_with_the_answer() {
    let (gate, gateway, held, _server) = full(|_| {}).await;
    let id = id_of(&ask(&gateway, &[]).await);
    let path = format!("/v1/jobs/{id}/events");
    let mut events = Open::send(gateway.address, "GET", &path, &[("x-api-key", "alice")], "").await;
    events.until("event: queued").await;
    drop(held);
    events.until("event: running").await;
    gate.open();
    let reply = events.reply().await;
    assert!(reply.whole && reply.header("content-type").unwrap().starts_with("text/event-stream"));
    let told: Vec<Value> = reply.data().iter().map(|data| serde_json::from_str(data).unwrap()).collect();
    let statuses: Vec<&str> = told.iter().map(|job| job["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["queued", "running", "completed"]);
    assert_eq!(told[2]["response"]["body"]["usage"]["prompt_tokens"], 3);
    let last = reply.text().lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let headers = [("last-event-id", last.as_str())];
    let again = send(&gateway, "GET", &path, &headers, "").await;
    assert_eq!(again.data().len(), 1, "who comes back after the end has the answer once more: {}", again.text());
    assert_eq!(send(&gateway, "GET", &path, &[("last-event-id", "x")], "").await.status, 400);
}

#[tokio::test]
async fn a_callers_jobs_are_listed_newest_first_in_pages() {
    let (_gate, gateway, _held, _server) = full(|_| {}).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, id_of(&ask(&gateway, &[]).await));
    }
    let page = send(&gateway, "GET", "/v1/jobs?limit=2", &[], "").await.json();
    assert_eq!(
        (&page["data"][0]["id"], &page["has_more"], &page["last_id"]),
        (&json!(ids[0]), &json!(true), &json!(ids[1]))
    );
    let rest = send(&gateway, "GET", &format!("/v1/jobs?limit=2&after={}", ids[1]), &[], "").await.json();
    assert_eq!((&rest["data"][0]["id"], &rest["has_more"]), (&json!(ids[2]), &json!(false)));
    assert_eq!(send(&gateway, "GET", "/v1/jobs?status=completed", &[], "").await.json()["data"], json!([]));
    for bad in ["limit=0", "limit=x", "limit=101", "status=paused", "after=job_x", "page=2"] {
        let reply = send(&gateway, "GET", &format!("/v1/jobs?{bad}"), &[], "").await;
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_end_of_a_job_is_told_once_where_its_client_wants_it() {
    let to_here = AllowedTargets::parse(["127.0.0.1"]).unwrap();
    let (gate, gateway, held, server) = full(|config| config.overflow.callback_targets = to_here).await;
    let url = "http://127.0.0.1:9/hook";
    let done = id_of(&ask(&gateway, &[("gantry-callback", url)]).await);
    let gone = id_of(&ask(&gateway, &[("gantry-callback", url)]).await);
    assert_eq!(send(&gateway, "DELETE", &format!("/v1/jobs/{gone}"), &[], "").await.status, 200);
    gate.open();
    drop(held);
    until(&gateway, &done, "completed").await;
    let mut queue = connect(&server).await.notices().outgoing(Outgoing::CALLBACKS);
    let mut told = Vec::new();
    while told.len() < 2 {
        let held = tokio::time::timeout(WITHIN, queue.next()).await.expect("both are told");
        held.ack().await;
        let Carried::Callback(callback) = held.value.carried.clone() else { panic!("no callback") };
        told.push((callback.job.clone(), callback.url.clone(), serde_json::to_value(&callback.body).unwrap()));
    }
    assert_eq!(
        (told[0].0.as_str(), &told[0].2["status"], &told[0].2["result"]),
        (gone.as_str(), &json!("cancelled"), &json!(null))
    );
    assert_eq!((told[1].0.as_str(), told[1].1.as_str()), (done.as_str(), url));
    assert_eq!((&told[1].2["status"], &told[1].2["result"]["status_code"]), (&json!("completed"), &json!(200)));
    assert_eq!(told[1].2["result"]["body"]["usage"]["completion_tokens"], 2);
    let more = tokio::time::timeout(Duration::from_secs(3), queue.next()).await;
    assert!(more.is_err(), "nothing is told twice");
}

#[tokio::test]
async fn jobs_are_held_to_the_limits_of_their_key_and_end_with_it() {
    let server = broker().await;
    let bus = connect(&server).await;
    let now = Time::from_micros(0);
    let mut record = KeyRecord {
        id: "key_1".to_owned(),
        name: "carol".to_owned(),
        hash: hash_key("carol"),
        tenant: None,
        scopes: Vec::new(),
        models: Vec::new(),
        limits: KeyLimits { concurrent: Some(1), ..KeyLimits::default() },
        created_at: now,
        updated_at: now,
        revoked_at: None,
    };
    bus.keys().replace(&record, 0).await.unwrap();
    let gate = Gate::closed().await;
    let mut config = configured(&gate.upstream);
    config.bounds.queue = 8;
    let gateway = Gateway::on(&bus, config.clone()).await;
    let carol = [("x-api-key", "carol"), ASYNC];
    let held = fill(&gateway, &gate).await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(id_of(&call(gateway.address, "POST", CHAT, &carol, PLAIN).await));
        }
        ids
    };
    // Three places, but its key may have one request at a time.
    config.backends[0].concurrency = Some(3);
    gateway.proxy.apply(config).unwrap();
    let of_carol = async |id: &str| call(gateway.address, "GET", &format!("/v1/jobs/{id}"), &carol, "").await.json();
    let begun = Instant::now();
    while gate.asked() < 2 {
        assert!(begun.elapsed() < WITHIN, "{}", of_carol(&ids[0]).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let running = call(gateway.address, "POST", CHAT, &[("x-api-key", "carol")], PLAIN).await;
    assert_eq!((running.status, code(&running)), (429, json!("rate_limit_exceeded")), "the job counts for its key");
    assert_eq!((gate.asked(), of_carol(&ids[1]).await["status"].clone()), (2, json!("queued")));
    let revision = bus.keys().read("carol").await.unwrap().unwrap().1;
    record.revoked_at = Some(now);
    assert!(bus.keys().replace(&record, revision).await.unwrap());
    gate.open();
    assert_eq!(held.reply().await.status, 200);
    let jobs = bus.deferred();
    let begun = Instant::now();
    loop {
        let (job, _) = jobs.read(&ids[1]).await.unwrap().unwrap();
        if job.status.is_end() {
            assert_eq!((job.status.as_str(), job.response.unwrap().status_code, job.attempt), ("failed", 401, 0));
            break;
        }
        assert!(begun.elapsed() < WITHIN, "{job:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(jobs.read(&ids[0]).await.unwrap().unwrap().0.status.as_str(), "completed");
    gateway.settled().await;
}

#[tokio::test]
async fn a_job_takes_one_request_of_its_keys_minute_and_not_another_when_it_runs() {
    let (gate, gateway, held, server) = full(|_| {}).await;
    let now = Time::from_micros(0);
    let record = KeyRecord {
        id: "key_1".to_owned(),
        name: "dora".to_owned(),
        hash: hash_key("dora"),
        tenant: None,
        scopes: Vec::new(),
        models: Vec::new(),
        limits: KeyLimits { requests_per_minute: Some(1), ..KeyLimits::default() },
        created_at: now,
        updated_at: now,
        revoked_at: None,
    };
    connect(&server).await.keys().replace(&record, 0).await.unwrap();
    let dora = [("x-api-key", "dora"), ASYNC];
    let begun = Instant::now();
    let id = loop {
        let reply = call(gateway.address, "POST", CHAT, &dora, PLAIN).await;
        if reply.status != 401 {
            break id_of(&reply);
        }
        assert!(begun.elapsed() < WITHIN, "the key never came here");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    gate.open();
    assert_eq!(held.reply().await.status, 200);
    let path = format!("/v1/jobs/{id}");
    let begun = Instant::now();
    loop {
        let job = call(gateway.address, "GET", &path, &dora, "").await.json();
        if job["status"] == "completed" {
            break;
        }
        assert!(begun.elapsed() < WITHIN, "{job}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let next = call(gateway.address, "POST", CHAT, &dora[..1], PLAIN).await;
    assert_eq!((next.status, code(&next)), (429, json!("rate_limit_exceeded")), "its one request is used");
}

#[tokio::test]
async fn official_clients_have_a_request_as_a_job_and_fetch_its_answer() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let server = broker().await;
    let (open, is_open) = watch::channel(false);
    let upstream = Upstream::start(move |seen, mut conn| {
        let mut is_open = is_open.clone();
        async move {
            if !conn.lists_models(&seen).await {
                let _ = is_open.wait_for(|open| *open).await;
                conn.json("200 OK", crate::clients::ANSWER).await;
            }
            Some(conn)
        }
    })
    .await;
    let mut config = configured(&upstream);
    config.api_keys = vec!["k".to_owned().into(), "bob".to_owned().into()];
    config.backends[0].capabilities = Some(vec![proxy::Capability::Chat]);
    let gateway = proxy(&server, config).await;
    let held = Open::send(gateway.address, "POST", CHAT, &[("x-api-key", "bob")], PLAIN).await;
    upstream.until("was asked", |_| !upstream.requests(CHAT).is_empty()).await;
    let mut child = tokio::process::Command::new(crate::clients::folder().join("python/bin/python"))
        .arg(format!("{}/tests/clients/jobs.py", env!("CARGO_MANIFEST_DIR")))
        .arg(format!("http://{}", gateway.address))
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || tokio::time::timeout(2 * WITHIN, lines.next_line()).await.expect("it says more").unwrap();
    assert_eq!(next().await.as_deref(), Some("taken"));
    open.send_replace(true);
    assert_eq!(held.reply().await.status, 200);
    assert_eq!(next().await.as_deref(), Some("done"));
    assert!(child.wait().await.unwrap().success());
    gateway.settled().await;
}
