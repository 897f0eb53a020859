//! Laws of runs: accepting, showing, listing, purging.

use crate::world::{SOON, World};
use domain::RunId;
use serde_json::{Value, json};

#[tokio::test]
async fn a_run_is_known_from_its_acceptance_to_its_end() {
    let world = World::start().await;
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "Hello", "_evil": 1}, "session_id": "s-1"})).await;
    let begun = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!((&begun["status"], &begun["current_node"]), (&json!("running"), &json!("start")));
    assert_eq!(begun.as_object().map(serde_json::Map::len), Some(21));
    assert_eq!(world.get(&format!("/runs/{run}/ledger")).await.text, r#"{"items":[],"next_after":0}"#);
    let listed = world.get("/runs?session_id=s-1").await.json();
    assert_eq!((&listed["items"][0]["run_id"], &listed["items"][0]["ledger_len"]), (&json!(run), &json!(0)));
    world.step(&run).await;
    let done = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&done["status"], &done["current_node"], &done["session_id"]),
        (&json!("completed"), &json!("end"), &json!("s-1"))
    );
    assert_eq!(
        done.as_object().map(|object| object.keys().collect::<Vec<_>>()),
        begun.as_object().map(|object| object.keys().collect())
    );
    let page = world.get(&format!("/runs/{run}/ledger")).await.json();
    assert_eq!(page["items"][0]["result"]["output"], json!({"response": "Hello", "success": true}));
    assert_eq!(page["items"][0].as_object().map(serde_json::Map::len), Some(16));
    assert_eq!(page["next_after"], 2);
    let after_end = world.get(&format!("/runs/{run}/ledger?after=99")).await;
    assert_eq!(after_end.text, r#"{"items":[],"next_after":99}"#);
    let input = world.get(&format!("/runs/{run}/input_data")).await.json();
    assert_eq!(
        input,
        json!({"run_id": run, "workflow_id": "fix@0.1.0:echo", "bundle_id": "fix", "bundle_version": "0.1.0",
            "flow_id": "echo", "pin_ids": ["prompt"], "input_data": {"prompt": "Hello"}, "workspace": {}})
    );
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_run_and_another_request_a_conflict() {
    let world = World::start().await;
    let start = async |prompt: &str| {
        let request = http::Request::post("/api/gateway/runs/start").header("idempotency-key", "key-1");
        world.send(request, json!({"bundle_id": "fix", "input_data": {"prompt": prompt}}).to_string()).await
    };
    let first = start("a").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(start("a").await.text, first.text);
    world.step(&RunId::new(first.json()["run_id"].as_str().unwrap())).await;
    assert_eq!(start("a").await.text, first.text);
    assert_eq!(start("b").await.detail(), (409, "Idempotency-Key was used with a different request".to_owned()));
    assert_eq!(world.get("/runs").await.json()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_schedule_is_a_run_of_a_generated_flow() {
    let world = World::start().await;
    let body = json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "Ping"}, "interval": "2s",
        "repeat_count": 2, "session_id": "s"});
    let answer = world.post("/runs/schedule", body).await.json();
    let run = answer["run_id"].as_str().unwrap();
    let shown = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!((&shown["is_scheduled"], &shown["current_node"]), (&json!(true), &json!("start")));
    let schedule = shown["schedule"].as_object().unwrap();
    assert_eq!(
        (&schedule["interval"], &schedule["repeat_count"], &schedule["target_workflow_id"]),
        (&json!("2s"), &json!(2), &json!("fix@0.1.0:echo"))
    );
    assert_eq!(schedule.keys().next_back().map(String::as_str), Some("updated_at"));
    let workflow = shown["workflow_id"].as_str().unwrap();
    let flow = world.get(&format!("/workflows/{workflow}/flow")).await.json();
    assert_eq!((&flow["source"], &flow["flow"]["id"]), (&json!("dynamic"), &json!(workflow)));
    let input = world.get(&format!("/runs/{run}/input_data")).await.json();
    assert_eq!((&input["flow_id"], &input["input_data"]), (&json!("echo"), &json!({"prompt": "Ping"})));
    let unknown = json!({"bundle_id": "fix", "flow_id": "nope"});
    assert_eq!(
        world.post("/runs/schedule", unknown).await.detail(),
        (404, "Target workflow 'fix@0.1.0:nope' not found".to_owned())
    );
    let nowhere = json!({"bundle_id": "nope", "flow_id": "nope"});
    assert_eq!(
        world.post("/runs/schedule", nowhere).await.detail(),
        (404, "Bundle 'nope' has no versions loaded".to_owned())
    );
}

#[tokio::test]
async fn a_batch_leaves_out_unknown_runs_and_a_history_holds_everything() {
    let world = World::start().await;
    let run = world.echo_run().await;
    let body = json!({"limit": 1, "runs": [{"run_id": run, "after": 1}, {"run_id": "nope"}]});
    let batch = world.post("/runs/ledger/batch", body).await.json();
    assert_eq!(batch["runs"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(
        (&batch["runs"][run.as_str()]["next_after"], &batch["runs"][run.as_str()]["items"][0]["effect"]["type"]),
        (&json!(2), &json!("emit_event"))
    );
    let history = world.get(&format!("/runs/{run}/history_bundle?include_session=true")).await.json();
    assert_eq!((&history["version"], &history["run"]["status"]), (&json!(1), &json!("completed")));
    let window = &history["ledgers"][run.as_str()];
    assert_eq!((&window["total"], &window["cursor_start"], &window["cursor_end"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(history["timeline"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&history["session"]["turns"][0]["prompt"], &history["session"]["turns"][0]["answer"]),
        (&json!("Hello"), &json!("Hello"))
    );
    let tail = world.get(&format!("/runs/{run}/history_bundle?ledger_max_items=1")).await.json();
    assert_eq!(tail["ledgers"][run.as_str()]["cursor_start"], 2);
    let wrong = world.get(&format!("/runs/{run}/history_bundle?ledger_mode=some")).await;
    assert_eq!(wrong.detail(), (400, "ledger_mode must be one of tail|full".to_owned()));
}

/// An acknowledged start leaves the inbox a moment after its acknowledgement.
async fn gone(world: &World, run: &RunId) {
    let gone = async { while world.get(&format!("/runs/{run}")).await.status != 404 {} };
    tokio::time::timeout(SOON, gone).await.unwrap_or_else(|_| panic!("{run} is still there"));
}

#[tokio::test]
async fn only_ephemeral_drafts_whose_time_has_come_are_purged() {
    let world = World::start().await;
    let lifecycle = |retention: Value| json!({"purpose": "draft_test", "retention": retention, "junk": 1});
    let mut runs = Vec::new();
    for retention in [
        json!({"mode": "ephemeral", "expires_at": "2020-01-01"}),
        json!({"mode": "ephemeral"}),
        json!({"mode": "kept"}),
    ] {
        let run = world.start_run(json!({"bundle_id": "fix", "run_lifecycle": lifecycle(retention)})).await;
        world.step(&run).await;
        runs.push(run);
    }
    let kept = world.echo_run().await;
    let shown = world.get(&format!("/runs/{}", runs[0])).await.json();
    assert_eq!((&shown["is_draft"], &shown["run_lifecycle"]["junk"]), (&json!(true), &Value::Null));
    assert_eq!(world.get("/runs").await.json()["items"].as_array().map(Vec::len), Some(1), "drafts are hidden");
    let dry = world.post("/runs/purge_drafts", json!({})).await.json();
    assert_eq!(
        (&dry["dry_run"], &dry["eligible"], &dry["purged"], &dry["scanned"]),
        (&json!(true), &json!(1), &json!(0), &json!(3))
    );
    let done = world.post("/runs/purge_drafts", json!({"dry_run": false})).await.json();
    assert_eq!((&done["purged"], &done["skipped"]), (&json!(1), &json!(2)));
    gone(&world, &runs[0]).await;
    assert_eq!(world.get(&format!("/runs/{kept}")).await.status, 200);
    let unknown = world.post("/runs/purge_drafts", json!({"bogus": 1})).await;
    assert_eq!((unknown.status, &unknown.json()["detail"][0]["type"]), (422, &json!("extra_forbidden")));
    let named = world.post("/runs/purge_drafts", json!({"run_ids": ["nope", runs[2]]})).await.json();
    let reasons: Vec<&str> =
        named["items"].as_array().unwrap().iter().filter_map(|item| item["reason"].as_str()).collect();
    assert_eq!(reasons, ["not_ephemeral_draft", "missing"]);
}
