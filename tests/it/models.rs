//! What a model server is told of the run that calls it.

use crate::flows;
use serde_json::json;
use testkit::FakeModel;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_is_told_the_idempotency_key_that_the_ledger_shows() {
    let model = FakeModel::start(&[json!({"content": "hi"})]).await;
    let gateway = flows::started(flows::gateway().model(&model)).await;
    let run = flows::start(&gateway.client, "llm", json!({"prompt": "hello"})).await;
    gateway.client.until_ended(&run).await;
    let ledger = gateway.client.ledger(&run).await;
    let key = ledger[0]["idempotency_key"].as_str().unwrap();
    assert_eq!(key.len(), 32);
    assert_eq!(model.asked().iter().map(|asked| asked.key.as_str()).collect::<Vec<_>>(), [key]);
}
