//! What becomes of a job's attempts: answers, refusals, breaks, ends.

use super::{CHAT, Gate, WITHIN, ask, code, configured, fill, full, id_of, job, proxy, send, until};
use crate::gateway::{Gateway, PLAIN, backend};
use crate::limits::broker;
use crate::upstream::Upstream;
use proxy::Outcome;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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
    let (gate, gateway, held, _server) = full(|config| config.overflow.attempts = 2).await;
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
    let mut config = configured(&gate.upstream);
    config.overflow.attempts = 2;
    config.backends = vec![backend("two", "openai", &broken)];
    gateway.proxy.apply(config).unwrap();
    drop(held);
    let failed = until(&gateway, &id, "failed").await;
    assert_eq!((&failed["attempt"], &failed["response"]["status_code"]), (&json!(2), &json!(502)), "{failed}");
    gateway.settled().await;
}

#[tokio::test]
async fn a_job_that_is_taken_back_never_runs_and_a_running_one_is_hung_up() {
    let (gate, gateway, held, _server) = full(|_| {}).await;
    let first = id_of(&ask(&gateway, &[]).await);
    let second = id_of(&ask(&gateway, &[]).await);
    let cancelled = send(&gateway, "DELETE", &format!("/v1/jobs/{first}"), &[], "").await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")), "{}", cancelled.text());
    drop(held);
    until(&gateway, &second, "running").await;
    gate.upstream.until("both were asked", |counts| counts.hung_up >= 1 && gate.asked() == 2).await;
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

#[tokio::test]
async fn a_stop_that_breaks_requests_off_leaves_jobs_to_whoever_puts_them_back() {
    let (gate, gateway, held, _server) = full(|_| {}).await;
    let id = id_of(&ask(&gateway, &[]).await);
    drop(held);
    until(&gateway, &id, "running").await;
    let stop = CancellationToken::new();
    stop.cancel();
    let breaking = gateway.proxy.break_off_after(&stop, Duration::ZERO);
    assert!(tokio::time::timeout(Duration::from_millis(50), breaking).await.is_err(), "it has no end of its own");
    let refused = send(&gateway, "POST", CHAT, &[], PLAIN).await;
    assert_eq!((refused.status, code(&refused)), (503, json!("gateway_stopping")));
    gate.open();
    let done = until(&gateway, &id, "completed").await;
    assert_eq!(done["attempt"], 1, "{done}");
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
async fn a_job_whose_time_is_over_has_expired() {
    let (gate, gateway, held, _server) = full(|config| config.overflow.ttl = Duration::from_secs(1)).await;
    let id = id_of(&ask(&gateway, &[]).await);
    let expired = until(&gateway, &id, "expired").await;
    assert_eq!(expired["error"]["code"], "job_expired");
    gate.open();
    assert_eq!(held.reply().await.status, 200);
    gateway.settled().await;
    assert_eq!(gate.asked(), 1);
}

#[tokio::test]
async fn a_job_that_met_a_full_queue_runs_soon_after_there_is_room() {
    let (gate, gateway, _held, _server) = full(|config| config.bounds.queue = 0).await;
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
