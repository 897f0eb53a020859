//! A runner killed while models work for it: somebody else takes over, soon, and each call counts once.

use crate::flows::started;
use crate::laws;
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use testkit::{Client, FakeModel, Gateway};

pub(crate) const CALLS: usize = 32;
/// What the contract grants for another runner to take over.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Runs that call a model, each with its own words.
pub(crate) async fn calling(client: &Client, model: &FakeModel) -> Vec<String> {
    model.hold();
    let body = |number: usize| json!({"bundle_id": "chaos", "flow_id": "llm", "input_data": {"prompt": format!("words {number}")}});
    let starts = (0..CALLS).map(async |number| client.insist_on_start(&format!("call-{number}"), &body(number)).await);
    let runs = join_all(starts).await;
    model.until_asked(CALLS).await;
    runs
}

/// The ledgers of runs that were called once in vain and once for good.
pub(crate) async fn taken_over(client: &Client, runs: &[String]) -> Vec<Vec<Value>> {
    let ledgers = runs.iter().enumerate().map(async |(number, run)| {
        assert_eq!(client.until_ended(run).await["status"], "completed");
        let records = client.ledger(run).await;
        laws::of_a_ledger(run, &records);
        let shown: Vec<_> = records
            .iter()
            .map(|record| (record["status"].as_str().unwrap(), record["attempt"].as_u64().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [("started", 1), ("failed", 1), ("started", 2), ("completed", 2), ("completed", 1), ("completed", 1)]
        );
        let text = records[4]["result"]["output"]["text"].as_str().unwrap();
        assert!(text.contains(&format!("words {number}")), "{text}");
        records
    });
    join_all(ledgers).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_calls_of_a_killed_runner_are_taken_over_soon() {
    let model = FakeModel::start(&[]).await;
    let mut gateway = started(Gateway::builder().apart(2).model(&model)).await;
    // All calls are to be the first runner's.
    gateway.runners[1].kill9().await;
    let client = gateway.client.clone();
    let runs = calling(&client, &model).await;
    gateway.restart_runner(1).await;
    let killed = Instant::now();
    gateway.runners[0].kill9().await;
    let asked = model.until_asked(2 * CALLS).await;
    let after = killed.elapsed();
    assert!(after < TAKEOVER, "the last call was taken over after {after:?}");
    let mut times: HashMap<String, usize> = HashMap::new();
    asked.iter().for_each(|asked| *times.entry(asked.body["messages"].to_string()).or_default() += 1);
    assert!(times.len() == CALLS && times.values().all(|times| *times == 2), "each call is made again as it was");
    model.release();
    taken_over(&client, &runs).await;
    assert_eq!(model.asked().len(), 2 * CALLS, "no call was made a third time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_takes_long_is_asked_once_while_its_runner_lives() {
    let model = FakeModel::start(&[]).await;
    let gateway = started(Gateway::builder().apart(2).model(&model)).await;
    let runs = calling(&gateway.client, &model).await;
    // Longer than a silent runner is trusted: the calls are this test's subject, and they take their time.
    tokio::time::sleep(Duration::from_secs(5)).await;
    model.release();
    for run in &runs {
        assert_eq!(gateway.client.until_ended(run).await["status"], "completed");
        assert_eq!(gateway.client.ledger(run).await.len(), 4);
    }
    assert_eq!(model.asked().len(), CALLS);
}
