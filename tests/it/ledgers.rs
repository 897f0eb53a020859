//! Ledgers by page and by batch: cursors that count from one and leave nothing out.

use crate::flows::{RECORD, echoed, gateway, keys, short, start, started};
use serde_json::{Value, json};

#[tokio::test]
async fn records_have_every_key_and_runs_write_them_in_the_usual_order() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let echo = client.ledger(&echoed(client, "Hello").await).await;
    assert_eq!(short(&echo), ["end completed -", "end completed emit_event"]);
    assert_eq!(echo[0]["result"], json!({"completed": true, "output": {"response": "Hello", "success": true}}));
    let status = json!({"type": "emit_event", "payload": {"name": "abstract.status", "scope": "session",
        "payload": {"text": "completed"}}, "result_key": null});
    assert_eq!(
        (&echo[1]["effect"], &echo[1]["idempotency_key"]),
        (&status, &json!("system:terminal_status:completed"))
    );

    let run = start(client, "ask", json!({})).await;
    client.until_status(&run, "waiting").await;
    client.command("answer", &run, "resume", json!({"payload": {"response": "I am X"}})).await.good();
    client.until_status(&run, "completed").await;
    let asked = client.ledger(&run).await;
    assert_eq!(
        short(&asked),
        [
            "ask started ask_user",
            "ask waiting ask_user",
            "ask completed resume",
            "end completed -",
            "end completed emit_event"
        ]
    );
    assert_eq!(asked[0]["step_id"], asked[1]["step_id"]);
    assert_eq!(asked[2]["result"], json!({"resumed": true}));
    assert_eq!(
        keys(&asked[2]["effect"]["payload"]),
        ["wait_reason", "wait_key", "resume_to_node", "result_key", "payload"]
    );
    for record in echo.iter().chain(&asked) {
        assert_eq!(keys(record), RECORD);
        let reserved = ["prev_hash", "record_hash", "signature"];
        assert!(reserved.iter().all(|key| record[*key].is_null()) && record["attempt"] == 1, "{record}");
    }
}

#[tokio::test]
async fn any_page_of_any_size_is_a_piece_of_the_same_ledger() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = echoed(client, "Hello").await;
    let whole = client.ledger(&run).await;
    for limit in 1..=3 {
        let mut pages: Vec<Value> = Vec::new();
        while pages.len() < whole.len() {
            let page = client.get(&format!("/runs/{run}/ledger?after={}&limit={limit}", pages.len())).await.good();
            let items = page["items"].as_array().unwrap();
            assert!((1..=limit).contains(&items.len()));
            pages.extend(items.iter().cloned());
            assert_eq!(page["next_after"], pages.len());
        }
        assert_eq!(pages, whole);
    }
    let end = client.get(&format!("/runs/{run}/ledger?after=50")).await;
    assert_eq!(
        (end.text.as_str(), end.header("content-type")),
        (r#"{"items":[],"next_after":50}"#, "application/json")
    );
    assert_eq!(client.get("/runs/nope/ledger").await.text, r#"{"detail":"Run 'nope' not found"}"#);
    let issue = json!({"detail": [{"type": "greater_than_equal", "loc": ["query", "after"],
        "msg": "Input should be greater than or equal to 0", "input": "-1", "ctx": {"ge": 0}}]});
    assert_eq!(client.get(&format!("/runs/{run}/ledger?after=-1")).await.json(), issue);
    assert_eq!(client.get(&format!("/runs/{run}/ledger?limit=2001")).await.status, 422);
}

#[tokio::test]
async fn a_batch_reads_several_ledgers_and_leaves_out_what_is_not_there() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let (one, two) = (echoed(client, "1").await, echoed(client, "2").await);
    let body =
        json!({"limit": 1, "runs": [{"run_id": one}, {"run_id": two, "after": 1}, {"run_id": "nope", "after": 0}]});
    let batch = client.post("/runs/ledger/batch", &body).await.good();
    assert_eq!(keys(&batch["runs"]), [&one, &two]);
    let (whole_one, whole_two) = (client.ledger(&one).await, client.ledger(&two).await);
    assert_eq!(batch["runs"][&one], json!({"items": [whole_one[0]], "next_after": 1}));
    assert_eq!(batch["runs"][&two], json!({"items": [whole_two[1]], "next_after": 2}));
    assert_eq!(client.post("/runs/ledger/batch", &json!({"runs": [{"after": 0}]})).await.status, 422);
}
