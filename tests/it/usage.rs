//! What model requests used is added up and can be read.

use crate::flows;
use serde_json::json;
use testkit::{FakeModel, SOON, until};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_model_requests_are_summed_by_model_and_survive_a_restart() {
    let model = FakeModel::start(&[json!({"content": "hi"}), json!({"content": "ho"})]).await;
    let mut gateway = flows::started(flows::gateway().model(&model)).await;
    let ask = json!({"model": "fake-model", "messages": [{"role": "user", "content": "hello"}]});
    gateway.client.post("//v1/chat/completions", &ask).await.good();
    gateway.client.post("//v1/chat/completions", &ask).await.good();
    let read = async |client: &testkit::Client| {
        let sums = client.get("//v1/usage?group_by=model").await.good();
        let sum = sums["data"].as_array().and_then(|data| data.first()).cloned().unwrap_or_default();
        if sum["requests"] == 2 { Ok(sum) } else { Err(sums.to_string()) }
    };
    let sum = until("both requests to be accounted for", SOON, async || read(&gateway.client).await).await;
    assert_eq!((&sum["group"], &sum["tokens_in"], &sum["tokens_out"]), (&json!("fake-model"), &json!(20), &json!(10)));
    gateway.api.kill9().await;
    gateway.restart_api().await;
    let again = until("the same sums", SOON, async || read(&gateway.client).await).await;
    assert_eq!(again, sum);
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_need_a_token_and_sensible_days() {
    let gateway = flows::gateway().start().await;
    let stranger = gateway.client.with_token(None);
    assert_eq!(stranger.get("//v1/usage").await.status, 401);
    for query in ["group_by=colour", "from=yesterday"] {
        let answer = gateway.client.get(&format!("//v1/usage?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("expected")), "{query}");
    }
}
