//! Draft runs and what remains of them.

use crate::flows::{echoed, gateway, keys, started};
use serde_json::json;
use testkit::{SOON, until};

#[tokio::test]
async fn only_expired_drafts_are_purged_and_nothing_is_by_looking() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let kept = echoed(client, "kept").await;
    let lifecycle = json!({"purpose": "draft_test", "source": "editor", "odd": 1, "retention": {"mode": "ephemeral", "ttl_s": 3600}});
    let body = json!({"bundle_id": "fix", "flow_id": "echo", "run_lifecycle": lifecycle});
    let draft = client.start(&body).await;
    let shown = client.until_status(&draft, "completed").await;
    assert_eq!(shown["is_draft"], true);
    assert!(shown["run_lifecycle"].get("odd").is_none(), "{shown}");
    let rows = client.get("/runs").await.good();
    assert!(rows["items"].as_array().unwrap().iter().all(|row| row["run_id"] != draft), "drafts are hidden: {rows}");
    let look = until("the draft to be listed as ended", SOON, async || {
        let look = client.post("/runs/purge_drafts", &json!({"force": true})).await.good();
        if look["eligible"] == 1 { Ok(look) } else { Err(look.to_string()) }
    })
    .await;
    assert_eq!(keys(&look), ["ok", "dry_run", "policy", "scanned", "eligible", "purged", "skipped", "items"]);
    assert_eq!((&look["purged"], &look["dry_run"]), (&json!(0), &json!(true)));
    let early = client.post("/runs/purge_drafts", &json!({"dry_run": false})).await.good();
    assert_eq!((&early["purged"], &early["items"][0]["reason"]), (&json!(0), &json!("not_expired")));
    let purged = client.post("/runs/purge_drafts", &json!({"dry_run": false, "force": true})).await.good();
    assert_eq!((&purged["purged"], &purged["items"][0]["run_id"]), (&json!(1), &json!(draft)));
    until("the draft to be gone", SOON, async || {
        let answer = client.get(&format!("/runs/{draft}")).await;
        if answer.status == 404 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(client.run(&kept).await["status"], "completed");
    let odd = client.post("/runs/purge_drafts", &json!({"odd": 1})).await;
    assert_eq!((odd.status, &odd.json()["detail"][0]["type"]), (422, &json!("extra_forbidden")));
}
