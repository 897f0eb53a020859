//! Schedules: runs of a generated flow that start others.

use crate::flows::{gateway, keys, short, start, started};
use serde_json::{Value, json};
use testkit::{Client, SOON, until};

async fn schedule(client: &Client, more: Value) -> testkit::Answer {
    let mut body =
        json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "tick"}, "session_id": "s-t"});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    client.post("/runs/schedule", &body).await
}

#[tokio::test]
async fn a_finite_schedule_runs_its_target_so_often_and_ends() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let answer = schedule(client, json!({"interval": "200ms", "repeat_count": 2})).await.good();
    let run = answer["run_id"].as_str().unwrap();
    let begun = client.run(run).await;
    assert!(begun["workflow_id"].as_str().unwrap().starts_with("scheduled:"), "{begun}");
    assert_eq!((&begun["is_scheduled"], &begun["actor_id"]), (&json!(true), &json!("gateway")));
    assert_eq!(
        keys(&begun["schedule"]),
        [
            "kind",
            "interval",
            "repeat_count",
            "repeat_until",
            "start_at",
            "share_context",
            "target_workflow_id",
            "target_bundle_ref",
            "target_flow_id",
            "created_at",
            "updated_at",
        ]
    );
    assert_eq!(begun["schedule"]["target_workflow_id"], "fix@0.1.0:echo");
    client.until_status(run, "completed").await;
    assert_eq!(
        short(&client.ledger(run).await),
        [
            "wait_start started wait_until",
            "wait_start completed wait_until",
            "run_target started start_subworkflow",
            "run_target waiting start_subworkflow",
            "run_target completed resume",
            "wait_interval started wait_until",
            "wait_interval waiting wait_until",
            "run_target started start_subworkflow",
            "run_target waiting start_subworkflow",
            "run_target completed resume",
            "end completed -",
            "end completed emit_event",
        ]
    );
    let children = until("two children in the list", SOON, async || {
        let listed = client.get("/runs?workflow_id=fix@0.1.0:echo").await.good();
        let items = listed["items"].as_array().unwrap().clone();
        if items.len() == 2 && items.iter().all(|row| row["status"] == "completed") {
            Ok(items)
        } else {
            Err(listed.to_string())
        }
    })
    .await;
    assert!(children.iter().all(|row| row["parent_run_id"] == run && row["session_id"] == "s-t"), "{children:?}");
    let inputs = client.get(&format!("/runs/{run}/input_data")).await.good();
    assert_eq!((&inputs["flow_id"], &inputs["input_data"]["prompt"]), (&json!("echo"), &json!("tick")));
    let workflow = begun["workflow_id"].as_str().unwrap();
    let flow = client.get(&format!("/workflows/{workflow}/flow")).await.good();
    assert_eq!((&flow["workflow_id"], &flow["source"]), (&json!(workflow), &json!("dynamic")));
}

#[tokio::test]
async fn an_endless_schedule_sleeps_can_be_hurried_edited_and_stopped() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let answer = schedule(client, json!({"interval": "1h"})).await.good();
    let run = answer["run_id"].as_str().unwrap();
    let asleep = |run: &Value| run["current_node"] == "wait_interval" && run["status"] == "waiting";
    client.until_run(run, "asleep", asleep).await;
    let first = client.ledger(run).await.len();
    client.command("edit", run, "update_schedule", json!({"interval": "30m"})).await.good();
    assert_eq!(client.outcome("edit").await["status"], "applied");
    let edited = client.run(run).await;
    assert_eq!(edited["schedule"]["interval"], "30m");
    assert!(edited["schedule"]["updated_at"].is_string(), "{edited}");
    client.command("hurry", run, "resume", json!({})).await.good();
    assert_eq!(client.outcome("hurry").await["status"], "applied");
    until("another execution", SOON, async || {
        let (now, records) = (client.run(run).await, client.ledger(run).await);
        if asleep(&now) && records.len() > first { Ok(()) } else { Err(format!("{now} {}", records.len())) }
    })
    .await;
    client.command("stop", run, "cancel", json!({})).await.good();
    assert_eq!(client.until_ended(run).await["status"], "cancelled");
    let plain = start(client, "ask", json!({})).await;
    client.command("odd", &plain, "update_schedule", json!({"interval": "1h"})).await.good();
    assert_eq!(client.outcome("odd").await["status"], "refused", "a run that is no schedule has no interval");
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused_with_the_words_of_the_contract() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let cases = [
        (json!({"repeat_count": 0}), 400, "repeat_count must be >= 1"),
        (json!({"repeat_count": 2}), 400, "repeat_count > 1 requires interval"),
        (
            json!({"repeat_count": 2, "interval": "1h", "repeat_until": "2030-01-01T00:00:00Z"}),
            400,
            "repeat_until cannot be combined with repeat_count",
        ),
        (json!({"repeat_until": "2030-01-01T00:00:00Z"}), 400, "repeat_until requires interval"),
        (json!({"repeat_until": "2001-01-01T00:00:00Z", "interval": "1h"}), 400, "repeat_until must be >= start_at"),
        (
            json!({"repeat_until": "2099-01-01T00:00:00Z", "interval": "xx"}),
            400,
            "Invalid interval: invalid interval (expected like '15m', '1h', '2d')",
        ),
        (
            json!({"repeat_until": "2099-01-01T00:00:00Z", "interval": "1s"}),
            400,
            "repeat_until implies too many executions (max 10000)",
        ),
        (json!({"flow_id": "nope"}), 404, "Target workflow 'fix@0.1.0:nope' not found"),
        (json!({"bundle_id": "nope"}), 404, "Bundle 'nope' has no versions loaded"),
    ];
    for (more, status, detail) in cases {
        assert_eq!(schedule(client, more.clone()).await.refusal(), (status, detail.to_owned()), "{more}");
    }
}
