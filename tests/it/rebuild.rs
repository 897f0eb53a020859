//! `gantry rebuild`: the run list is made again from the streams.

use crate::flows::{echoed, gateway, start, started};
use serde_json::json;
use testkit::{SOON, until};

#[tokio::test]
async fn the_run_list_is_rebuilt_beside_a_running_gateway_and_shows_the_same() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    for prompt in ["1", "2", "3"] {
        echoed(client, prompt).await;
    }
    let waiting = start(client, "ask", json!({})).await;
    client.until_status(&waiting, "waiting").await;
    let list = async || client.get("/runs?include_metrics=true&include_ledger_len=true").await.good()["items"].clone();
    let before = until("the list to be complete", SOON, async || {
        let items = list().await;
        let of = |status: &str| items.as_array().into_iter().flatten().filter(|row| row["status"] == status).count();
        if (of("completed"), of("waiting")) == (3, 1) { Ok(items) } else { Err(items.to_string()) }
    })
    .await;
    let rebuilt = gateway.cli(&["rebuild", "--data-dir", &gateway.data_dir().display().to_string()]).await;
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
    assert_eq!(list().await, before);
    client.command("go-on", &waiting, "resume", json!({"payload": {"response": "x"}})).await.good();
    client.until_status(&waiting, "completed").await;
    assert_eq!(list().await[0]["run_id"], waiting.as_str(), "the gateway writes on where the rebuilding ended");
}
