//! Services good and bad in containers, and what their jobs see of it.

use crate::gpu::world::World;
use serde_json::{Value, json};
use testkit::{SOON, Tally, until};

#[tokio::test]
async fn a_service_that_becomes_healthy_late_does_the_job_that_started_it() {
    let mut world = World::start().await;
    let name = world.service("late", &["health-after=1500"], json!({})).await;
    let job = world.client().submit(&json!({"service_type": "late", "payload": {"x": 1}})).await;
    let done = world.client().until_job_is(&job, "completed").await;
    assert_eq!((&done["service_name"], &done["attempts"]), (&json!(name), &json!(1)), "{done}");
    assert_eq!(world.client().service(&name).await["failed_starts"], 0);
}

#[tokio::test]
async fn a_service_that_exits_after_its_start_says_so_and_can_be_taken_back() {
    let mut world = World::start().await;
    let name = world.service("exits", &["health=never", "exit-after=100"], json!({})).await;
    let job = world.client().submit(&json!({"service_type": "exits", "payload": {"x": 1}})).await;
    let failed =
        world.client().until_service(&name, "given up", |service| service["failed_starts"].as_u64() >= Some(1)).await;
    assert!(failed["last_error"].as_str().is_some_and(|error| error.contains("exited with code 1")), "{failed}");
    let waiting = world.client().job(&job).await;
    assert_eq!((&waiting["status"], &waiting["attempts"]), (&json!("queued"), &json!(0)), "{waiting}");
    let cancelled = world.client().delete(&format!("//queue/{job}")).await.good();
    assert_eq!(cancelled["cancelled"], true);
}

#[tokio::test]
async fn a_job_that_made_way_goes_on_from_its_snapshot_and_no_slot_is_doubled() {
    let mut world = World::start().await;
    let tally = Tally::start();
    let name = world.service("slow", &[&tally.argument()], json!({"stop_endpoint": "/stop"})).await;
    let client = world.client();
    let job =
        |work: u32, priority: i32| json!({"service_type": "slow", "payload": {"work_ms": work}, "priority": priority});
    let long = client.submit(&job(3_000, 5)).await;
    client.until_job_is(&long, "running").await;
    until("the service to be at work for a while", SOON, async || {
        let progress = world.said_by(&name, "progress").await;
        if progress["step"].as_u64() >= Some(50) { Ok(()) } else { Err(progress.to_string()) }
    })
    .await;
    let urgent = client.submit(&job(10, 0)).await;
    client.until_job_is(&urgent, "completed").await;
    let done = client.until_job_is(&long, "completed").await;
    assert_eq!((&done["attempts"], &done["preempt_count"], &done["failures"]), (&json!(2), &json!(1), &json!(0)));
    let snapshot: Value = serde_json::from_str(done["progress_snapshot"].as_str().unwrap()).unwrap();
    let result: Value = serde_json::from_str(done["result"].as_str().unwrap()).unwrap();
    let (resumed, pieces) = (result["resumed_from"].as_u64().unwrap(), result["pieces"].as_u64().unwrap());
    assert!(resumed >= 50, "it began anew: {result}");
    assert_eq!((&snapshot, &result["attempt"]), (&json!({"done": resumed}), &json!(2)), "{result}");
    assert_eq!(resumed + pieces, 600, "no piece of three seconds is lost or done twice: {result}");
    assert_eq!((tally.most_at_once(), tally.worked().len()), (1, 3), "{:?}", tally.worked());
    assert!(world.is_running(&name).await, "a service that lets go is not stopped for it");
}
