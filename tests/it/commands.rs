//! Commands: accepted once, numbered without gaps, applied in order, and what became of them.

use crate::flows::{gateway, short, start, started};
use serde_json::{Value, json};
use testkit::Client;

async fn sent(client: &Client, id: &str, run: &str, kind: &str, payload: Value) -> Value {
    client.command(id, run, kind, payload).await.good();
    client.outcome(id).await
}

#[tokio::test]
async fn a_command_is_accepted_once_and_numbers_have_no_gaps() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let first = client.command("c-1", "nope", "pause", json!({})).await;
    assert_eq!(first.text, r#"{"accepted":true,"duplicate":false,"seq":1}"#);
    let again = client.command("c-1", "other", "cancel", json!({})).await;
    assert_eq!(again.text, r#"{"accepted":false,"duplicate":true,"seq":1}"#);
    let many =
        (0..40).map(async |n| client.insist_on_command(&format!("m-{}", n % 20), "nope", "pause", &json!({})).await);
    let body = json!({"command_id": "", "run_id": "nope", "type": "pause"});
    let mut seqs = futures::future::join_all(many).await;
    assert_eq!(seqs[..20], seqs[20..], "the same id has the same number");
    seqs.truncate(20);
    seqs.sort_unstable();
    assert_eq!(seqs, (2..=21).collect::<Vec<u64>>());
    for seq in [22, 23] {
        let empty = client.post("/commands", &body).await.good();
        assert_eq!(empty, json!({"accepted": true, "duplicate": false, "seq": seq}), "an empty id gets one of its own");
    }
    assert_eq!(client.outcome("c-1").await["reason"], "Run 'nope' not found");
}

#[tokio::test]
async fn a_command_that_is_none_is_refused_with_the_words_of_the_contract() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let odd = client.command("x", "r", "explode", json!({})).await;
    let words = "type must be one of pause|resume|cancel|emit_event|update_schedule|compact_memory";
    assert_eq!(odd.refusal(), (400, words.to_owned()));
    let body = json!({"run_id": "r", "type": "pause"});
    let missing = client.post("/commands", &body).await;
    let issue =
        json!({"detail": [{"type": "missing", "loc": ["body", "command_id"], "msg": "Field required", "input": body}]});
    assert_eq!((missing.status, missing.json()), (422, issue));
    assert_eq!(client.get("/commands/never").await.refusal(), (404, "Command 'never' not found".to_owned()));
}

#[tokio::test]
async fn an_answer_wakes_exactly_the_wait_it_names() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "ask", json!({})).await;
    client.until_status(&run, "waiting").await;
    let wrong = sent(client, "wrong", &run, "resume", json!({"wait_key": "user:other:ask", "payload": {}})).await;
    assert_eq!((&wrong["status"], &wrong["run_id"]), (&json!("refused"), &json!(run)));
    assert!(wrong["reason"].is_string(), "{wrong}");
    assert_eq!(client.run(&run).await["status"], "waiting");
    let key = format!("user:{run}:ask");
    let right = sent(client, "right", &run, "resume", json!({"waitKey": key, "payload": {"response": "Ada"}})).await;
    assert_eq!((&right["status"], &right["type"], &right["seq"]), (&json!("applied"), &json!("resume"), &json!(2)));
    client.until_status(&run, "completed").await;
    let ledger = client.ledger(&run).await;
    let cursor = usize::try_from(right["cursor"].as_u64().unwrap()).unwrap();
    assert!((3..=ledger.len()).contains(&cursor), "the outcome names a place in the ledger: {right}");
    let late = sent(client, "late", &run, "resume", json!({"payload": {"response": "Bob"}})).await;
    assert_eq!(late["status"], "refused", "{late}");
    assert_eq!(client.ledger(&run).await, ledger, "what is refused leaves no trace");
}

#[tokio::test]
async fn pause_holds_a_tree_and_resume_lets_it_go_on() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "wait", json!({"seconds": 5})).await;
    client.until_status(&run, "waiting").await;
    assert_eq!(sent(client, "p", &run, "pause", json!({"reason": "hold"})).await["status"], "applied");
    let paused = client.run(&run).await;
    assert_eq!(
        (&paused["paused"], &paused["pause_reason"], &paused["status"]),
        (&json!(true), &json!("hold"), &json!("waiting"))
    );
    assert!(paused["paused_at"].is_string() && paused["resumed_at"].is_null(), "{paused}");
    let refused = sent(client, "r0", &run, "resume", json!({"payload": {}})).await;
    assert_eq!(refused["status"], "refused", "a paused run takes no answer: {refused}");
    // Another run of the same length that started later has ended: the time of the paused one has come.
    let other = start(client, "wait", json!({"seconds": 5})).await;
    client.until_status(&other, "completed").await;
    assert_eq!(client.run(&run).await["status"], "waiting");
    assert_eq!(sent(client, "r1", &run, "resume", json!({})).await["status"], "applied");
    let done = client.until_status(&run, "completed").await;
    assert!(done["resumed_at"].is_string() && done["paused"] == false, "{done}");
}

#[tokio::test]
async fn cancel_ends_a_tree_with_its_reason() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "parent", json!({})).await;
    let waiting = client.until_status(&run, "waiting").await;
    let child = waiting["waiting"]["details"]["sub_run_id"].as_str().unwrap().to_owned();
    client.until_status(&child, "waiting").await;
    assert_eq!(sent(client, "c", &run, "cancel", json!({"reason": "enough"})).await["status"], "applied");
    for run in [&run, &child] {
        let ended = client.until_status(run, "cancelled").await;
        assert_eq!((&ended["error"], &ended["waiting"]), (&json!("enough"), &Value::Null));
        let ledger = client.ledger(run).await;
        assert_eq!(ledger.last().unwrap()["idempotency_key"], "system:terminal_status:cancelled");
    }
    let ledger = client.ledger(&run).await;
    sent(client, "c2", &run, "cancel", json!({})).await;
    assert_eq!(client.ledger(&run).await, ledger, "an ended run stays as it is");
}

#[tokio::test]
async fn an_event_wakes_every_run_that_waits_for_it_and_no_other() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let mut listeners = Vec::new();
    for key in ["evt:global:global:go", "evt:global:global:go", "evt:global:global:stay"] {
        let run = start(client, "event", json!({"key": key})).await;
        client.until_status(&run, "waiting").await;
        listeners.push(run);
    }
    let body = json!({"command_id": "e", "run_id": "anything", "type": "emit_event", "client_id": "cli-9",
        "payload": {"name": "go", "scope": "global", "session_id": "s", "payload": {"text": "hi"}}});
    client.post("/commands", &body).await.good();
    assert_eq!(client.outcome("e").await["status"], "applied");
    for run in &listeners[..2] {
        client.until_status(run, "completed").await;
        let ledger = client.ledger(run).await;
        assert_eq!(
            short(&ledger),
            [
                "e started wait_event",
                "e waiting wait_event",
                "e completed resume",
                "end completed -",
                "end completed emit_event"
            ]
        );
        let event = &ledger[3]["result"]["output"]["event"];
        let envelope = json!({"event_id": null, "name": "go", "scope": "global", "session_id": "s",
            "payload": {"text": "hi"}, "emitted_at": null, "emitter": {"source": "external", "client_id": "cli-9"}});
        assert_eq!(*event, envelope);
    }
    assert_eq!(client.run(&listeners[2]).await["status"], "waiting");
}
