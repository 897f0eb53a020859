//! The history bundle: everything that is kept of a run, in one answer.

use crate::flows::{echoed, gateway, keys, start, started};
use serde_json::json;

#[tokio::test]
async fn a_history_holds_run_inputs_ledgers_and_timeline() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = echoed(client, "Hello").await;
    let history = client.get(&format!("/runs/{run}/history_bundle")).await.good();
    assert_eq!(
        keys(&history),
        ["version", "generated_at", "root_run_id", "run", "workflow_snapshot", "input_data", "ledgers", "timeline"]
    );
    assert_eq!(
        keys(&history["run"]),
        [
            "run_id",
            "workflow_id",
            "status",
            "current_node",
            "created_at",
            "updated_at",
            "actor_id",
            "session_id",
            "parent_run_id",
            "error",
            "waiting",
        ]
    );
    let ledger = &history["ledgers"][&run];
    let records = client.ledger(&run).await;
    assert_eq!(
        (&ledger["total"], &ledger["cursor_start"], &ledger["cursor_end"]),
        (&json!(records.len()), &json!(1), &json!(records.len()))
    );
    for (place, item) in ledger["items"].as_array().unwrap().iter().enumerate() {
        assert_eq!(*item, json!({"cursor": place + 1, "record": records[place]}));
    }
    let timeline = history["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), records.len());
    assert_eq!(
        keys(&timeline[0]),
        ["run_id", "cursor", "node_id", "status", "effect_type", "started_at", "ended_at", "duration_ms"]
    );
    assert_eq!(history["input_data"]["prompt"], "Hello");
}

#[tokio::test]
async fn children_a_session_and_a_tail_come_when_asked_for() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "parent", json!({})).await;
    let waiting = client.until_status(&run, "waiting").await;
    let child = waiting["waiting"]["details"]["sub_run_id"].as_str().unwrap().to_owned();
    client.until_status(&child, "waiting").await;
    client.command("a", &child, "resume", json!({"payload": {"response": "x"}})).await.good();
    client.until_status(&run, "completed").await;
    let path = format!("/runs/{run}/history_bundle");
    let whole = client.get(&path).await.good();
    assert_eq!(keys(&whole["ledgers"]), [&run, &child], "the root comes first");
    let alone = client.get(&format!("{path}?include_subruns=false")).await.good();
    assert_eq!(keys(&alone["ledgers"]), [&run]);
    let tail = client.get(&format!("{path}?ledger_mode=tail&ledger_max_items=1")).await.good();
    let total = whole["ledgers"][&run]["total"].as_u64().unwrap();
    assert_eq!(tail["ledgers"][&run]["cursor_start"], total);
    let session = client.get(&format!("{path}?include_session=true")).await.good();
    assert_eq!(session["session"]["session_id"], json!(run));
    let turn = &session["session"]["turns"][0];
    assert_eq!((&turn["run_id"], &turn["status"], &turn["kind"]), (&json!(run), &json!("completed"), &json!("run")));
    assert_eq!(client.get(&format!("{path}?ledger_mode=odd")).await.status, 400);
    assert_eq!(client.get("/runs/nope/history_bundle").await.status, 404);
}
