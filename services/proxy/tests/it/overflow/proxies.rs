//! Jobs over several proxies on one broker.

use super::{Gate, ask, configured, full, id_of, job, proxy, until};
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn a_job_is_performed_by_whichever_proxy_has_room_and_seen_at_each_of_them() {
    let (taken, gateway, _held, server) = full(|_| {}).await;
    let free = Gate::closed().await;
    let other = proxy(&server, configured(&free.upstream)).await;
    let id = id_of(&ask(&gateway, &[]).await);
    assert_eq!(job(&other, &id).await["request_id"], job(&gateway, &id).await["request_id"]);
    free.open();
    let done = until(&gateway, &id, "completed").await;
    assert_eq!((&done["attempt"], free.asked(), taken.asked()), (&json!(1), 1, 1));
}

#[tokio::test]
async fn an_attempt_of_a_proxy_that_is_gone_is_made_again_under_the_next_number() {
    let (_first, gateway, held, server) = full(|_| {}).await;
    let second = Gate::closed().await;
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
    let (_first, gateway, held, server) = full(|_| {}).await;
    let second = Gate::closed().await;
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
