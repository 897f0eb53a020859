//! Requests that cannot be served now and become jobs.

use crate::client::{Open, Reply, call};
use crate::gateway::{Gateway, PLAIN, backend};
use crate::limits::{broker, connect};
use crate::upstream::Upstream;
use domain::Time;
use domain::keys::{KeyLimits, KeyRecord, hash_key};
use domain::notices::{AllowedTargets, Carried, Outgoing};
use nats_process::Server;
use proxy::{Config, Outcome};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const WITHIN: Duration = Duration::from_secs(30);
const ANSWER: &str =
    r#"{"id":"c1", "choices":[],  "big":12345678901234567890123, "usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const CHAT: &str = "/v1/chat/completions";
const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// A backend that answers once it is open.
struct Gate {
    upstream: Upstream,
    open: watch::Sender<bool>,
}

impl Gate {
    async fn closed() -> Self {
        let (open, is_open) = watch::channel(false);
        let upstream = Upstream::start(move |seen, mut conn| {
            let mut is_open = is_open.clone();
            async move {
                if conn.lists_models(&seen).await {
                    return Some(conn);
                }
                tokio::select! {
                    opened = is_open.wait_for(|open| *open) => drop(opened),
                    () = conn.hung_up() => return None,
                }
                conn.json("200 OK", ANSWER).await;
                Some(conn)
            }
        })
        .await;
        Self { upstream, open }
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    fn asked(&self) -> usize {
        self.upstream.requests(CHAT).len()
    }
}

fn configured(upstream: &Upstream) -> Config {
    let mut config = Config {
        backends: vec![backend("one", "openai", upstream)],
        api_keys: vec!["alice".to_owned().into(), "bob".to_owned().into()],
        ..Config::default()
    };
    config.backends[0].concurrency = Some(1);
    config
}

async fn proxy(server: &Server, config: Config) -> Gateway {
    Gateway::on(&connect(server).await, config).await
}

async fn send(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = [&[("x-api-key", "alice")], headers].concat();
    call(gateway.address, method, path, &headers, body).await
}

/// The same with `Prefer: respond-async`.
async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Reply {
    send(gateway, "POST", CHAT, &[&[ASYNC], headers].concat(), PLAIN).await
}

/// Takes the only place for as long as it is kept.
async fn fill(gateway: &Gateway, gate: &Gate) -> Open {
    let before = gate.asked();
    let open = Open::send(gateway.address, "POST", CHAT, &[("x-api-key", "bob")], PLAIN).await;
    gate.upstream.until("was asked", |_| gate.asked() > before).await;
    open
}

async fn job(gateway: &Gateway, id: &str) -> Value {
    let reply = send(gateway, "GET", &format!("/v1/jobs/{id}"), &[], "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn until(gateway: &Gateway, id: &str, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        let job = job(gateway, id).await;
        if job["status"] == status {
            return job;
        }
        assert!(begun.elapsed() < WITHIN, "never {status}: {job}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn code(reply: &Reply) -> Value {
    reply.json()["error"]["code"].clone()
}

#[tokio::test]
async fn a_request_that_can_be_served_now_is_served_as_always_and_no_job_is_made() {
    let server = broker().await;
    let gate = Gate::closed().await;
    gate.open();
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let reply = ask(&gateway, &[("idempotency-key", "k")]).await;
    assert_eq!((reply.status, reply.text()), (200, ANSWER));
    assert_eq!(reply.header("preference-applied"), None);
    let list = send(&gateway, "GET", "/v1/jobs", &[], "").await.json();
    assert_eq!(list, json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false}));
    gateway.settled().await;
}

#[tokio::test]
async fn a_request_without_a_place_becomes_a_job_that_has_the_very_answer_and_is_charged_to_its_key() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let held = fill(&gateway, &gate).await;
    let reply = ask(&gateway, &[("x-request-id", "req-7")]).await;
    let id = id_of(&reply);
    assert_eq!(reply.header("location"), Some(format!("/v1/jobs/{id}").as_str()));
    assert_eq!(reply.header("preference-applied"), Some("respond-async"));
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let accepted = reply.json();
    assert_eq!(
        (&accepted["object"], &accepted["status"], &accepted["model"]),
        (&json!("job"), &json!("queued"), &json!("m"))
    );
    assert!(accepted["created_at"].is_u64(), "{accepted}");
    let waits = job(&gateway, &id).await;
    assert_eq!((&waits["position"], &waits["attempt"], &waits["response"]), (&json!(1), &json!(0), &json!(null)));
    assert_eq!(gate.asked(), 1, "the model server has not seen it");
    gate.open();
    assert_eq!(held.reply().await.status, 200);
    let done = until(&gateway, &id, "completed").await;
    assert_eq!((&done["attempt"], &done["response"]["status_code"]), (&json!(1), &json!(200)));
    assert_eq!(done["response"]["headers"], json!({"content-type": "application/json", "x-request-id": "req-7"}));
    let text = send(&gateway, "GET", &format!("/v1/jobs/{id}"), &[], "").await;
    assert!(text.text().contains(ANSWER), "not a byte of it is changed: {}", text.text());
    let of_alice: Vec<_> = gateway.accounts.all().into_iter().filter(|usage| &*usage.request_id == "req-7").collect();
    let outcomes: Vec<&Outcome> = of_alice.iter().map(|usage| &usage.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Failed("deferred".to_owned()), &Outcome::Completed]);
    assert_eq!((of_alice[0].tally.tokens_in, of_alice[1].tally.tokens_in), (0, 3));
    assert_eq!(of_alice[0].key_id, of_alice[1].key_id);
    gateway.settled().await;
}

#[tokio::test]
async fn only_its_caller_sees_a_job() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let _held = fill(&gateway, &gate).await;
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
async fn an_idempotency_key_means_one_job_of_its_caller_and_refuses_another_request() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let held = fill(&gateway, &gate).await;
    let key = ("idempotency-key", "order-1");
    let headers = [key];
    let replies = futures::future::join_all((0..6).map(|_| ask(&gateway, &headers))).await;
    let ids: Vec<String> = replies.iter().map(id_of).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = send(&gateway, "POST", CHAT, &[ASYNC, key], &PLAIN.replace("hi", "ho")).await;
    assert_eq!((other.status, code(&other)), (409, json!("idempotency_key_reused")), "{}", other.text());
    assert_eq!(other.header("x-should-retry"), Some("false"));
    let bobs = call(gateway.address, "POST", CHAT, &[("x-api-key", "bob"), ASYNC, key], PLAIN).await;
    assert_ne!(id_of(&bobs), ids[0]);
    gate.open();
    assert_eq!(held.reply().await.status, 200);
    until(&gateway, &ids[0], "completed").await;
    let again = ask(&gateway, &[key]).await;
    assert_eq!((id_of(&again), again.json()["status"].clone()), (ids[0].clone(), json!("completed")));
    gate.upstream.until("bob's job was asked for too", |_| gate.asked() >= 3).await;
    assert_eq!(gate.asked(), 3, "bob's two, alice's one");
}

#[tokio::test]
async fn a_client_that_waits_has_its_answer_if_a_place_comes_free_in_time() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let held = fill(&gateway, &gate).await;
    let headers = [("x-api-key", "alice"), ("prefer", "handling=lenient, respond-async;x=1"), ("Prefer", "wait=60")];
    let waiting = Open::send(gateway.address, "POST", CHAT, &headers, PLAIN).await;
    gateway.until_waiting(1).await;
    gate.open();
    let reply = waiting.reply().await;
    assert_eq!((reply.status, reply.text(), reply.header("preference-applied")), (200, ANSWER, None));
    drop(held);
}

#[tokio::test]
async fn a_stream_without_a_place_is_answered_in_one_piece() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let held = fill(&gateway, &gate).await;
    let body = r#"{"stream_options":{"include_usage":true},"model":"m","stream":true,"messages":[{"role":"user","content":"é"}]}"#;
    let id = id_of(&send(&gateway, "POST", CHAT, &[ASYNC], body).await);
    gate.open();
    drop(held);
    until(&gateway, &id, "completed").await;
    let sent = gate.upstream.requests(CHAT);
    let asked = r#"{"stream_options":null,"model":"m","stream":false,"messages":[{"role":"user","content":"é"}]}"#;
    assert_eq!(sent.last().unwrap().text(), asked);
}

#[tokio::test]
async fn what_a_backend_refuses_for_now_is_tried_again_and_what_it_refuses_for_good_is_the_jobs_end() {
    let server = broker().await;
    let (say, said) = watch::channel("503 Service Unavailable");
    let upstream = Upstream::start(move |seen, mut conn| {
        let status = *said.borrow();
        async move {
            if !conn.lists_models(&seen).await {
                let body = if status.starts_with('5') {
                    r#"{"error":{"message":"no"}}"#
                } else {
                    r#"{"error":{"message":"bad seed","code":"x"}}"#
                };
                conn.json(status, body).await;
            }
            Some(conn)
        }
    })
    .await;
    let gateway = proxy(&server, configured(&upstream)).await;
    let id = id_of(&ask(&gateway, &[]).await);
    upstream.until("was asked again", |_| upstream.requests(CHAT).len() >= 2).await;
    assert_eq!(job(&gateway, &id).await["response"], json!(null));
    say.send_replace("422 Unprocessable Entity");
    let failed = until(&gateway, &id, "failed").await;
    assert_eq!(failed["response"]["status_code"], 422);
    assert_eq!(failed["response"]["body"]["error"]["message"], "bad seed");
    assert_eq!(failed["error"]["code"], "request_failed");
    let seen = upstream.requests(CHAT).len() as u64;
    assert_eq!(
        failed["attempt"].as_u64().unwrap() + 1,
        seen,
        "each time a model server saw it was announced: {failed}"
    );
    let now = ask(&gateway, &[]).await;
    assert_eq!((now.status, now.header("preference-applied")), (422, None), "what cannot be served ever is no job");
}

#[tokio::test]
async fn an_attempt_that_breaks_off_is_made_again_but_not_for_ever() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let mut config = configured(&gate.upstream);
    config.overflow.attempts = 2;
    let gateway = proxy(&server, config.clone()).await;
    let held = fill(&gateway, &gate).await;
    let id = id_of(&ask(&gateway, &[]).await);
    let broken = Upstream::start(|seen, mut conn| async move {
        if conn.lists_models(&seen).await {
            return Some(conn);
        }
        conn.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{").await;
        conn.reset();
        None
    })
    .await;
    config.backends = vec![backend("two", "openai", &broken)];
    gateway.proxy.apply(config).unwrap();
    drop(held);
    let failed = until(&gateway, &id, "failed").await;
    assert_eq!((&failed["attempt"], &failed["response"]["status_code"]), (&json!(2), &json!(502)), "{failed}");
    gateway.settled().await;
}

#[tokio::test]
async fn a_job_that_is_taken_back_never_runs_and_a_running_one_is_hung_up() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let held = fill(&gateway, &gate).await;
    let first = id_of(&ask(&gateway, &[]).await);
    let second = id_of(&ask(&gateway, &[]).await);
    let cancelled = send(&gateway, "DELETE", &format!("/v1/jobs/{first}"), &[], "").await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")), "{}", cancelled.text());
    drop(held);
    until(&gateway, &second, "running").await;
    gate.upstream.until("both were asked", |counts| counts.hung_up >= 1).await;
    let path = format!("/v1/jobs/{second}/cancel");
    assert_eq!(send(&gateway, "POST", &path, &[], "").await.json()["status"], "cancelled");
    gate.upstream.until("the second was hung up", |counts| counts.hung_up == 2).await;
    gateway.settled().await;
    assert_eq!(gate.asked(), 2, "the first job was never sent");
    let again = send(&gateway, "POST", &path, &[], "").await;
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("cancelled")), "once more changes nothing");
    gate.open();
    let done = id_of_ended(&gateway, &gate).await;
    let late = send(&gateway, "DELETE", &format!("/v1/jobs/{done}"), &[], "").await;
    assert_eq!((late.status, code(&late)), (409, json!("job_ended")));
}

/// A job that has its answer.
async fn id_of_ended(gateway: &Gateway, gate: &Gate) -> String {
    gate.open.send_replace(false);
    let held = fill(gateway, gate).await;
    let id = id_of(&ask(gateway, &[]).await);
    gate.open();
    drop(held);
    until(gateway, &id, "completed").await;
    id
}

#[tokio::test]
async fn events_push_each_change_and_end_with_the_answer() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let held = fill(&gateway, &gate).await;
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
    let server = broker().await;
    let gate = Gate::closed().await;
    let gateway = proxy(&server, configured(&gate.upstream)).await;
    let _held = fill(&gateway, &gate).await;
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
async fn what_cannot_become_a_job_is_refused_with_both_reasons() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let mut config = configured(&gate.upstream);
    config.overflow.request_bytes = 200;
    config.overflow.per_caller = 2;
    config.overflow.jobs = 3;
    let gateway = proxy(&server, config.clone()).await;
    let _held = fill(&gateway, &gate).await;
    for (header, value) in [
        ("prefer", "respond-async, wait=soon"),
        ("prefer", "respond-async, wait=-1"),
        ("prefer", "respond-async, wait"),
        ("gantry-callback", "ftp://example.com/"),
        ("gantry-callback", "http://127.0.0.1/"),
        ("gantry-callback", "nonsense"),
        ("idempotency-key", &"x".repeat(256)),
    ] {
        let reply = ask(&gateway, &[(header, value)]).await;
        assert_eq!((reply.status, code(&reply)), (400, json!("unsupported_value")), "{header}: {value}");
    }
    let long = PLAIN.replace("hi", &"x".repeat(300));
    let reply = send(&gateway, "POST", CHAT, &[ASYNC], &long).await;
    assert_eq!((reply.status, code(&reply)), (503, json!("queue_timeout")), "{}", reply.text());
    assert!(reply.text().contains("more than the 200 that a job may have"), "{}", reply.text());
    let image = send(&gateway, "POST", "/v1/images/generations", &[ASYNC], r#"{"model":"m"}"#).await;
    assert!(image.status == 503 && image.text().contains("cannot wait"), "{}", image.text());
    let unknown = send(&gateway, "POST", CHAT, &[ASYNC], r#"{"model":"other","messages":[]}"#).await;
    assert_eq!((unknown.status, code(&unknown)), (404, json!("model_not_found")));
    assert_eq!(send(&gateway, "POST", CHAT, &[ASYNC], "{").await.status, 400);
    let (_, _) = (id_of(&ask(&gateway, &[]).await), id_of(&ask(&gateway, &[]).await));
    let third = ask(&gateway, &[]).await;
    assert_eq!((third.status, code(&third)), (429, json!("too_many_jobs")), "{}", third.text());
    assert!(third.header("retry-after").is_some());
    let bob = [("x-api-key", "bob"), ASYNC];
    id_of(&call(gateway.address, "POST", CHAT, &bob, PLAIN).await);
    let fourth = call(gateway.address, "POST", CHAT, &bob, PLAIN).await;
    assert!(fourth.text().contains("3 requests in all wait"), "{}", fourth.text());
    config.overflow.jobs = 0;
    let without = proxy(&server, config).await;
    let _held = fill(&without, &gate).await;
    assert!(ask(&without, &[]).await.text().contains("jobs are turned off"));
}

#[tokio::test]
async fn a_proxy_without_a_broker_says_that_it_keeps_no_jobs() {
    let gate = Gate::closed().await;
    let gateway = Gateway::start(configured(&gate.upstream)).await;
    let _held = fill(&gateway, &gate).await;
    let reply = ask(&gateway, &[]).await;
    assert!(reply.status == 503 && reply.text().contains("no broker"), "{}", reply.text());
    let jobs = send(&gateway, "GET", "/v1/jobs", &[], "").await;
    assert_eq!((jobs.status, code(&jobs), jobs.header("x-should-retry")), (501, json!("no_broker"), Some("false")));
}

#[tokio::test]
async fn a_job_whose_time_is_over_has_expired() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let mut config = configured(&gate.upstream);
    config.overflow.ttl = Duration::from_secs(1);
    let gateway = proxy(&server, config).await;
    let held = fill(&gateway, &gate).await;
    let id = id_of(&ask(&gateway, &[]).await);
    let expired = until(&gateway, &id, "expired").await;
    assert_eq!(expired["error"]["code"], "job_expired");
    gate.open();
    assert_eq!(held.reply().await.status, 200);
    gateway.settled().await;
    assert_eq!(gate.asked(), 1);
}

#[tokio::test]
async fn a_job_is_performed_by_whichever_proxy_has_room_and_seen_at_each_of_them() {
    let server = broker().await;
    let (full, free) = (Gate::closed().await, Gate::closed().await);
    let gateway = proxy(&server, configured(&full.upstream)).await;
    let _held = fill(&gateway, &full).await;
    let other = proxy(&server, configured(&free.upstream)).await;
    let id = id_of(&ask(&gateway, &[]).await);
    assert_eq!(job(&other, &id).await["request_id"], job(&gateway, &id).await["request_id"]);
    free.open();
    let done = until(&gateway, &id, "completed").await;
    assert_eq!((&done["attempt"], free.asked(), full.asked()), (&json!(1), 1, 1));
}

#[tokio::test]
async fn an_attempt_of_a_proxy_that_is_gone_is_made_again_under_the_next_number() {
    let server = broker().await;
    let (first, second) = (Gate::closed().await, Gate::closed().await);
    let gateway = proxy(&server, configured(&first.upstream)).await;
    let held = fill(&gateway, &first).await;
    let id = id_of(&ask(&gateway, &[]).await);
    drop(held);
    until(&gateway, &id, "running").await;
    let other = proxy(&server, configured(&second.upstream)).await;
    second.open();
    drop(gateway);
    let done = until(&other, &id, "completed").await;
    assert_eq!((&done["attempt"], second.asked()), (&json!(2), 1));
}

#[tokio::test]
async fn a_proxy_that_is_told_to_stop_hands_its_jobs_on_at_once_and_none_of_them_counts_as_lost() {
    let server = broker().await;
    let (first, second) = (Gate::closed().await, Gate::closed().await);
    let gateway = proxy(&server, configured(&first.upstream)).await;
    let held = fill(&gateway, &first).await;
    let id = id_of(&ask(&gateway, &[]).await);
    drop(held);
    until(&gateway, &id, "running").await;
    let mut config = configured(&second.upstream);
    // One that breaks off would be the last.
    config.overflow.attempts = 1;
    let other = proxy(&server, config).await;
    second.open();
    let began = Instant::now();
    gateway.leave().await;
    let done = until(&other, &id, "completed").await;
    assert_eq!(done["attempt"], 2);
    println!("handed on and answered within {} ms", began.elapsed().as_millis());
    assert!(began.elapsed() < bus::Bus::HOLDER_PATIENCE, "nobody waited for it to be silent");
}

#[tokio::test]
async fn the_end_of_a_job_is_told_once_where_its_client_wants_it() {
    let server = broker().await;
    let gate = Gate::closed().await;
    let mut config = configured(&gate.upstream);
    config.overflow.callback_targets = AllowedTargets::parse(["127.0.0.1"]).unwrap();
    let gateway = proxy(&server, config).await;
    let held = fill(&gateway, &gate).await;
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

#[tokio::test]
async fn a_job_that_met_a_full_queue_runs_soon_after_there_is_room() {
    let (server, gate) = (broker().await, Gate::closed().await);
    let mut config = configured(&gate.upstream);
    config.bounds.queue = 0;
    let gateway = proxy(&server, config).await;
    let _full = fill(&gateway, &gate).await;
    let id = id_of(&ask(&gateway, &[]).await);
    let begun = Instant::now();
    // It has stood in line, and there was none to stand in.
    while !gateway.accounts.all().iter().any(|usage| usage.outcome == Outcome::Failed("queue_full".to_owned())) {
        assert!(begun.elapsed() < WITHIN, "it never stood in line");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gate.open();
    until(&gateway, &id, "completed").await;
}
