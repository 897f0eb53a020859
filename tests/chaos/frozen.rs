//! A runner that is frozen and wakes up late finds that others went on, and cannot write.

use crate::effects::{CALLS, calling, taken_over};
use crate::flows::started;
use crate::storm::{Progress, Told, rage};
use testkit::{Client, FakeModel, Gateway, SOON, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_frozen_in_its_steps_holds_nobody_up_and_writes_nothing_late() {
    let gateway = started(Gateway::builder().apart(2)).await;
    let (client, progress) = (gateway.client.clone(), Progress::default());
    let faults = async {
        progress.reaches(40).await;
        gateway.runners[0].freeze();
    };
    let (told, ()) = tokio::join!(rage(&client, 64, &progress), faults);
    gateway.runners[0].thaw();
    awake(&gateway).await;
    unchanged(&client, &told).await;
}

/// Waits until a thawed runner works again: with the other frozen, a run comes to its end.
async fn awake(gateway: &Gateway) {
    gateway.runners[1].freeze();
    let body = serde_json::json!({"bundle_id": "chaos", "flow_id": "talk", "input_data": {"items": []}});
    let run = gateway.client.start(&body).await;
    gateway.client.until_status(&run, "completed").await;
    gateway.runners[1].thaw();
}

async fn unchanged(client: &Client, told: &[Told]) {
    for one in told {
        assert_eq!(client.ledger(&one.run).await, one.records, "the ledger of {} changed after its end", one.run);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_a_frozen_runner_brings_late_change_nothing() {
    let model = FakeModel::start(&[]).await;
    let mut gateway = started(Gateway::builder().apart(2).model(&model)).await;
    gateway.runners[1].kill9().await;
    let client = gateway.client.clone();
    let runs = calling(&client, &model).await;
    gateway.runners[0].freeze();
    gateway.restart_runner(1).await;
    model.until_asked(2 * CALLS).await;
    model.release();
    let ledgers = taken_over(&client, &runs).await;
    gateway.runners[0].thaw();
    awake(&gateway).await;
    // Its late answers lie in the inboxes now; one more message each makes somebody read them.
    for (number, run) in runs.iter().enumerate() {
        client.insist_on_command(&format!("late-{number}"), run, "pause", &serde_json::json!({})).await;
    }
    for number in 0..runs.len() {
        client.outcome(&format!("late-{number}")).await;
    }
    until("every ledger to be as it was", SOON, async || {
        for (run, ledger) in runs.iter().zip(&ledgers) {
            assert_eq!(client.ledger(run).await, *ledger, "a late answer was written");
        }
        Ok(())
    })
    .await;
    assert_eq!(model.asked().len(), 2 * CALLS);
}
