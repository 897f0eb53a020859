//! A plain subscriber on the bus, with the user that may do nothing else.

use crate::flows::{gateway, keys, start, started};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Gateway, SOON};

async fn tap(gateway: &Gateway) -> async_nats::Client {
    let read =
        |name: &str| std::fs::read_to_string(gateway.data_dir().join("auth").join(name)).unwrap().trim().to_owned();
    let options = async_nats::ConnectOptions::new().user_and_password("tap".to_owned(), read("nats-tap"));
    options.connect(read("nats.url")).await.unwrap()
}

#[tokio::test]
async fn a_plain_subscriber_hears_every_record_once_and_in_order() {
    let gateway = started(gateway()).await;
    let tap = tap(&gateway).await;
    let mut messages = tap.subscribe("gantry.run.default.main.*.records").await.unwrap();
    tap.flush().await.unwrap();
    let client = &gateway.client;
    let run = start(client, "ask", json!({})).await;
    client.until_status(&run, "waiting").await;
    client.command("a", &run, "resume", json!({"payload": {"response": "x"}})).await.good();
    let mut heard: Vec<Value> = Vec::new();
    loop {
        let message = tokio::time::timeout(SOON, messages.next()).await.expect("a step is published").unwrap();
        assert_eq!(message.subject.as_str(), format!("gantry.run.default.main.{run}.records"));
        let step: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(keys(&step), ["run_id", "workflow_id", "status", "after", "records"]);
        assert_eq!(
            (&step["run_id"], &step["workflow_id"], &step["after"]),
            (&json!(run), &json!("fix@0.1.0:ask"), &json!(heard.len()))
        );
        heard.extend(step["records"].as_array().unwrap().iter().cloned());
        if step["status"] == "completed" {
            break;
        }
    }
    assert_eq!(heard, client.ledger(&run).await);
}

#[tokio::test]
async fn the_subscriber_can_neither_write_nor_hear_anything_else() {
    let gateway = started(gateway()).await;
    let tap = tap(&gateway).await;
    let mut forbidden = tap.subscribe(">").await.unwrap();
    let mut allowed = tap.subscribe("gantry.run.>").await.unwrap();
    let run = "made-up";
    tap.publish(format!("gantry.run.default.main.{run}.records"), "{}".into()).await.unwrap();
    tap.flush().await.unwrap();
    let real = start(&gateway.client, "echo", json!({"prompt": "x"})).await;
    let first = tokio::time::timeout(SOON, allowed.next()).await.expect("the real run is heard").unwrap();
    assert!(first.subject.contains(&real), "what the tap published came through: {}", first.subject);
    let nothing = tokio::time::timeout(Duration::from_millis(10), forbidden.next()).await;
    assert!(!matches!(nothing, Ok(Some(_))), "a subject that is not for taps was heard");
}
