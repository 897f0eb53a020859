//! Laws of ledger streams and commands.

use crate::world::{SOON, World, bundle, loop_flow};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::json;
use std::fmt::Write;

#[tokio::test]
async fn a_stream_of_an_ended_run_replays_it_and_says_done() {
    let world = World::start().await;
    let run = world.echo_run().await;
    let stream = world.get(&format!("/runs/{run}/ledger/stream")).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream; charset=utf-8");
    assert!(!stream.headers.contains_key("cache-control"));
    let events: Vec<&str> = stream.text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{}", stream.text);
    assert!(events[0].starts_with("id: 1\nevent: step\ndata: {\"cursor\": 1, \"record\": {"));
    assert_eq!(
        events[2],
        format!("event: done\ndata: {{\"run_id\": \"{run}\", \"cursor\": 2, \"status\": \"terminal\"}}")
    );
    let rest = world.get(&format!("/runs/{run}/ledger/stream?after=1")).await;
    assert!(rest.text.starts_with("id: 2\n"));
    let past = world.get(&format!("/runs/{run}/ledger/stream?after=9")).await;
    assert_eq!(
        past.text,
        format!("event: done\ndata: {{\"run_id\": \"{run}\", \"cursor\": 9, \"status\": \"terminal\"}}\n\n")
    );
    let resumed = http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream")).header("last-event-id", "1");
    assert!(world.send(resumed, Body::empty()).await.text.starts_with("id: 2\n"));
    let both =
        http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream?after=0")).header("last-event-id", "1");
    assert!(world.send(both, Body::empty()).await.text.starts_with("id: 1\n"), "after wins");
}

#[tokio::test]
async fn a_live_stream_shows_each_record_once_and_keeps_its_client_awake() {
    let world = World::start().await;
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "ask"})).await;
    let request = http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream?heartbeat_s=0.15"));
    let mut body = world.open(request, Body::empty()).await.into_body();
    world.step(&run).await;
    let mut text = String::new();
    let mut read_until = async |text: &mut String, wanted: &str| {
        while !text.contains(wanted) {
            let frame =
                tokio::time::timeout(SOON, body.frame()).await.unwrap_or_else(|_| panic!("no {wanted} in {text}"));
            text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
        }
    };
    read_until(&mut text, "id: 2\n").await;
    read_until(&mut text, ": keep-alive\n\n").await;
    let waiting = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&waiting["waiting"]["reason"], &waiting["waiting"]["prompt"]),
        (&json!("user"), &json!("who are you ?"))
    );
    let command =
        json!({"command_id": "c-1", "run_id": run, "type": "resume", "payload": {"payload": {"response": "me"}}});
    assert_eq!(world.post("/commands", command).await.text, r#"{"accepted":true,"duplicate":false,"seq":1}"#);
    world.route("c-1").await;
    world.step(&run).await;
    read_until(&mut text, "event: done").await;
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_command_is_accepted_once_and_its_outcome_can_be_read() {
    let world = World::start().await;
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "ask"})).await;
    world.step(&run).await;
    let cancel = json!({"command_id": "c-1", "run_id": run, "type": "cancel", "payload": {"reason": "enough"}});
    assert_eq!(world.post("/commands", cancel.clone()).await.text, r#"{"accepted":true,"duplicate":false,"seq":1}"#);
    assert_eq!(world.post("/commands", cancel).await.text, r#"{"accepted":false,"duplicate":true,"seq":1}"#);
    let unknown = json!({"command_id": "", "run_id": "no-such-run", "type": "pause"});
    assert_eq!(world.post("/commands", unknown).await.text, r#"{"accepted":true,"duplicate":false,"seq":2}"#);
    let wrong = json!({"command_id": "x", "run_id": run, "type": "explode", "payload": {}});
    let types = "type must be one of pause|resume|cancel|emit_event|update_schedule|compact_memory";
    assert_eq!(world.post("/commands", wrong).await.detail(), (400, types.to_owned()));
    assert_eq!(world.get("/commands/c-1").await.json()["status"], "accepted");
    let waited = world.get("/commands/c-1?wait_s=20");
    let applied = async {
        world.route("c-1").await;
        world.step(&run).await;
    };
    let (outcome, ()) = tokio::join!(waited, applied);
    let outcome = outcome.json();
    assert_eq!(
        (&outcome["status"], &outcome["type"], &outcome["seq"]),
        (&json!("applied"), &json!("cancel"), &json!(1))
    );
    let cancelled = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!((&cancelled["status"], &cancelled["error"]), (&json!("cancelled"), &json!("enough")));
    assert_eq!(outcome["cursor"], world.get(&format!("/runs/{run}/ledger")).await.json()["next_after"]);
}

/// Reads a whole stream and answers with the ids of its events; fails unless it ends with `done`.
async fn ids(world: &World, path: &str) -> Vec<u64> {
    let text = world.get(path).await.text;
    assert!(text.contains("event: done"), "{text}");
    text.lines().filter_map(|line| line.strip_prefix("id: ")).filter_map(|id| id.parse().ok()).collect()
}

#[tokio::test]
async fn a_client_that_connects_while_records_arrive_sees_each_exactly_once() {
    let world = World::start().await;
    world.upload(&bundle("long", "1.0.0", &[("loop", loop_flow(400))]), false).await;
    let run = world.start_run(json!({"bundle_id": "long"})).await;
    let stream = format!("/runs/{run}/ledger/stream");
    let readers = async {
        let all = ids(&world, &stream);
        let later = format!("{stream}?after=137");
        tokio::join!(all, ids(&world, &later), ids(&world, &stream))
    };
    let ((first, second, third), ()) = tokio::join!(readers, world.run_to_end(&run));
    let total = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(total["status"], "completed", "{total}");
    let expected: Vec<u64> = (1..=*first.last().unwrap()).collect();
    assert!(expected.len() > 800, "{}", expected.len());
    assert_eq!((&first, &third), (&expected, &expected));
    assert_eq!(second, expected[137..]);
    let mut pages = String::new();
    let mut after = 0;
    while after < expected.len() as u64 {
        let page = world.get(&format!("/runs/{run}/ledger?after={after}&limit=97")).await.json();
        for record in page["items"].as_array().unwrap() {
            writeln!(pages, "{record}").unwrap();
        }
        after = page["next_after"].as_u64().unwrap();
    }
    assert_eq!(pages.lines().count(), expected.len());
}
