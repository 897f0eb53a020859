//! What model requests used is added up and can be read.

use crate::flows;
use serde_json::{Value, json};
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
    for query in ["group_by=colour", "from=yesterday", "colour=red", "from=2027-01-01&to=2026-01-01"] {
        let answer = gateway.client.get(&format!("//v1/usage?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("expected")), "{query}");
        assert!(answer.headers.contains_key("x-request-id"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sees_what_it_used_itself_and_one_with_the_scope_admin_what_everybody_did() {
    let model = FakeModel::start(&[]).await;
    let gateway = flows::gateway().model(&model).start().await;
    let key = async |name: &str, more: Value| {
        let mut wanted = more;
        wanted["name"] = json!(name);
        let made = gateway.client.post("/keys", &wanted).await.good();
        gateway.client.with_token(made["key"].as_str())
    };
    let alice = key("alice", json!({"tenant": "one"})).await;
    let bob = key("bob", json!({})).await;
    let chief = key("chief", json!({"scopes": ["admin"]})).await;
    let ask = json!({"model": "fake-model", "messages": [{"role": "user", "content": "hello"}]});
    for (client, count) in [(&alice, 2), (&bob, 1)] {
        for _ in 0..count {
            until("the key to be known", SOON, async || {
                let answer = client.post("//v1/chat/completions", &ask).await;
                if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
            })
            .await;
        }
    }
    let requests = async |client: &testkit::Client, query: &str| {
        let sums = client.get(&format!("//v1/usage?group_by=key{query}")).await.good();
        let sums = sums["data"].as_array().cloned().unwrap_or_default();
        sums.iter().map(|sum| (sum["group"].as_str().unwrap().to_owned(), sum["requests"].as_u64().unwrap())).collect()
    };
    let both: Vec<(String, u64)> = vec![("alice".to_owned(), 2), ("bob".to_owned(), 1)];
    until("three requests to be accounted for", SOON, async || {
        let seen: Vec<(String, u64)> = requests(&gateway.client, "").await;
        if seen == both { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let seen: Vec<(String, u64)> = requests(&chief, "").await;
    assert_eq!(seen, both);
    for (client, query, wanted) in [
        (&alice, "", &both[..1]),
        (&bob, "&key=bob", &both[1..]),
        (&chief, "&tenant=one", &both[..1]),
        (&gateway.client, "&key=bob&model=fake-model", &both[1..]),
        (&gateway.client, "&model=another", &[]),
    ] {
        let seen: Vec<(String, u64)> = requests(client, query).await;
        assert_eq!(seen, wanted, "{query}");
    }
    assert_eq!(alice.get("//v1/usage?key=bob").await.status, 403);
    assert_eq!(gateway.client.with_token(Some("gk_nobody")).get("//v1/usage").await.status, 401);
    gateway.client.delete("/keys/alice").await.good();
    until("a revoked key to see nothing", SOON, async || {
        let answer = alice.get("//v1/usage").await;
        if answer.status == 401 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_settings_sees_what_it_used_itself() {
    let model = FakeModel::start(&[]).await;
    let gateway = flows::gateway().model(&model).env("API_KEYS", "key-of-one,key-of-another").start().await;
    let [one, another] = ["key-of-one", "key-of-another"].map(|key| gateway.client.with_token(Some(key)));
    let ask = json!({"model": "fake-model", "messages": [{"role": "user", "content": "hello"}]});
    for client in [&one, &another, &another] {
        client.post("//v1/chat/completions", &ask).await.good();
    }
    let groups = async |client: &testkit::Client| {
        let sums = client.get("//v1/usage?group_by=key").await.good();
        sums["data"].as_array().cloned().unwrap_or_default()
    };
    let all = until("three requests to be accounted for", SOON, async || {
        let all = groups(&gateway.client).await;
        let count = all.iter().map(|sum| sum["requests"].as_u64().unwrap()).sum::<u64>();
        if count == 3 { Ok(all) } else { Err(format!("{all:?}")) }
    })
    .await;
    let (own, other) = (groups(&one).await, groups(&another).await);
    assert_eq!((own.len(), &own[0]["requests"], other.len(), &other[0]["requests"]), (1, &json!(1), 1, &json!(2)));
    assert!(all.contains(&own[0]) && all.contains(&other[0]), "{all:?}");
    let name = other[0]["group"].as_str().unwrap();
    assert_eq!(one.get(&format!("//v1/usage?key={name}")).await.status, 403);
}
