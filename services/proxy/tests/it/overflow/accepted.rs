//! Which requests become jobs, and which do not.

use super::{ANSWER, ASYNC, CHAT, Gate, ask, code, configured, fill, full, id_of, job, proxy, send, until};
use crate::client::{Open, call};
use crate::gateway::{Gateway, PLAIN};
use crate::limits::broker;
use proxy::Outcome;
use serde_json::json;

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
    let (gate, gateway, held, _server) = full(|_| {}).await;
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
async fn an_idempotency_key_means_one_job_of_its_caller_and_refuses_another_request() {
    let (gate, gateway, held, _server) = full(|_| {}).await;
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
    let (gate, gateway, held, _server) = full(|_| {}).await;
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
    let (gate, gateway, held, _server) = full(|_| {}).await;
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
async fn what_cannot_become_a_job_is_refused_with_both_reasons() {
    let (gate, gateway, _held, server) = full(|config| {
        config.overflow.request_bytes = 200;
        config.overflow.per_caller = 2;
        config.overflow.jobs = 3;
    })
    .await;
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
    let count = send(&gateway, "POST", "/v1/messages/count_tokens", &[ASYNC], r#"{"model":"m","messages":[]}"#).await;
    assert!(count.text().contains("at once or never, and cannot wait"), "{}", count.text());
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
    let mut config = configured(&gate.upstream);
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
