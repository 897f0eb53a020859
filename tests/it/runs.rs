//! Runs: starting, reading, listing.

use crate::flows::{echoed, fix, gateway, keys, short, start, started};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, FakeModel};

const RUN: [&str; 21] = [
    "run_id",
    "workflow_id",
    "status",
    "current_node",
    "created_at",
    "updated_at",
    "actor_id",
    "session_id",
    "parent_run_id",
    "error",
    "flow_warnings",
    "paused",
    "pause_reason",
    "paused_at",
    "resumed_at",
    "waiting",
    "is_scheduled",
    "schedule",
    "limits",
    "run_lifecycle",
    "is_draft",
];
const ROW: [&str; 21] = [
    "run_id",
    "workflow_id",
    "status",
    "current_node",
    "created_at",
    "updated_at",
    "actor_id",
    "session_id",
    "parent_run_id",
    "error",
    "paused",
    "pause_reason",
    "paused_at",
    "resumed_at",
    "waiting",
    "is_scheduled",
    "schedule",
    "limits",
    "run_lifecycle",
    "is_draft",
    "ledger_len",
];
const WAIT: [&str; 7] = ["reason", "wait_key", "until", "prompt", "choices", "allow_free_text", "details"];

fn is_time(value: &Value) -> bool {
    // 2026-11-20T23:26:44.372058+00:00
    value.as_str().is_some_and(|text| text.len() == 32 && text.ends_with("+00:00") && text.as_bytes()[19] == b'.')
}

#[tokio::test]
async fn a_run_shows_every_key_of_the_contract_in_every_state() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = echoed(client, "Hello").await;
    let done = client.run(&run).await;
    assert_eq!(keys(&done), RUN);
    assert!(is_time(&done["created_at"]) && is_time(&done["updated_at"]), "{done}");
    let facts = [
        ("workflow_id", json!("fix@0.1.0:echo")),
        ("current_node", json!("end")),
        ("actor_id", json!("gateway")),
        ("session_id", json!(run)),
        ("parent_run_id", Value::Null),
        ("error", Value::Null),
        ("flow_warnings", Value::Null),
        ("paused", json!(false)),
        ("waiting", Value::Null),
        ("is_scheduled", json!(false)),
        ("schedule", Value::Null),
        ("run_lifecycle", Value::Null),
        ("is_draft", json!(false)),
    ];
    for (key, value) in facts {
        assert_eq!(done[key], value, "{key}");
    }
    assert_eq!(
        keys(&done["limits"]["tokens"]),
        ["estimated_used", "max_tokens", "max_input_tokens", "pct", "warn_tokens_pct"]
    );

    let run = start(client, "ask", json!({})).await;
    let asks = client.until_status(&run, "waiting").await;
    assert_eq!((keys(&asks), keys(&asks["waiting"])), (RUN.to_vec(), WAIT.to_vec()));
    let wait = json!({"reason": "user", "wait_key": format!("user:{run}:ask"), "until": null, "prompt": "who are you ?",
        "choices": ["a", "b"], "allow_free_text": true, "details": null});
    assert_eq!(asks["waiting"], wait);

    let run = start(client, "wait", json!({"seconds": 600})).await;
    let sleeps = client.until_status(&run, "waiting").await;
    assert_eq!((&sleeps["waiting"]["reason"], &sleeps["waiting"]["wait_key"]), (&json!("until"), &Value::Null));
    assert!(is_time(&sleeps["waiting"]["until"]), "{sleeps}");

    let run = start(client, "event", json!({"key": "evt:global:global:x"})).await;
    let listens = client.until_status(&run, "waiting").await;
    assert_eq!(listens["waiting"]["wait_key"], "evt:global:global:x");

    let run = start(client, "parent", json!({})).await;
    let parent = client.until_status(&run, "waiting").await;
    let child = parent["waiting"]["details"]["sub_run_id"].as_str().unwrap().to_owned();
    assert_eq!(parent["waiting"]["reason"], "subworkflow");
    assert_eq!(parent["waiting"]["wait_key"], format!("subworkflow:{child}"));
    let child = client.until_status(&child, "waiting").await;
    assert_eq!((&child["parent_run_id"], &child["session_id"]), (&json!(run), &json!(run)));
    assert_eq!(client.get("/runs/nope").await.refusal(), (404, "Run 'nope' not found".to_owned()));
}

#[tokio::test]
async fn a_start_that_cannot_be_is_refused_with_the_words_of_the_contract() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let cases = [
        (json!({}), 400, "flow_id is required (or provide bundle_id to start a bundle entrypoint)"),
        (json!({"bundle_id": "nope"}), 404, "Bundle 'nope' not found"),
        (json!({"bundle_id": "fix", "flow_id": "nope"}), 404, "Workflow 'fix@0.1.0:nope' not found"),
        (
            json!({"bundle_id": "fix", "flow_id": "echo", "registry_scope": "moon"}),
            400,
            "Unsupported registry_scope: moon",
        ),
    ];
    for (body, status, detail) in cases {
        assert_eq!(client.post("/runs/start", &body).await.refusal(), (status, detail.to_owned()), "{body}");
    }
    let wrong = client.post("/runs/start", &json!({"bundle_id": "fix", "input_data": "x"})).await;
    let issue = json!({"detail": [{"type": "dict_type", "loc": ["body", "input_data"],
        "msg": "Input should be a valid dictionary", "input": "x"}]});
    assert_eq!((wrong.status, wrong.json()), (422, issue));
    let request = client.request(Method::POST, "/runs/start").header("content-type", "application/json").body("{nope");
    let broken = Client::send(request).await.unwrap();
    assert_eq!((broken.status, &broken.json()["detail"][0]["type"]), (422, &json!("json_invalid")));
    assert_eq!(broken.json()["detail"][0]["loc"], json!(["body", 1]));
}

#[tokio::test]
async fn one_idempotency_key_is_one_run_however_often_and_wherever_it_comes() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let body = json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "once"}, "session_id": "s-once"});
    let starts = futures::future::join_all((0..16).map(|_| client.insist_on_start("key-1", &body))).await;
    assert!(starts.iter().all(|run| *run == starts[0]), "{starts:?}");
    client.until_status(&starts[0], "completed").await;
    assert_eq!(client.insist_on_start("key-1", &body).await, starts[0]);
    assert_eq!(client.ledger(&starts[0]).await.len(), 2, "an echo run has two records");
    let listed = client.get("/runs?session_id=s-once").await.good();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let mut other = body.clone();
    other["input_data"] = json!({"prompt": "twice"});
    let request = client.request(Method::POST, "/runs/start").header("idempotency-key", "key-1").json(&other);
    assert_eq!(Client::send(request).await.unwrap().status, 409);
}

#[tokio::test]
async fn of_two_requests_that_race_under_one_idempotency_key_one_is_refused() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    for round in 0..8 {
        let key = format!("race-{round}");
        let starts = futures::future::join_all((0..8).map(|place| {
            let prompt = if place % 2 == 0 { "even" } else { "odd" };
            let body = json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": prompt}});
            let request = client.request(Method::POST, "/runs/start").header("idempotency-key", &key).json(&body);
            async move { (prompt, Client::send(request).await.unwrap()) }
        }))
        .await;
        let run = starts.iter().find(|(_, answer)| answer.status == 200).map(|(_, answer)| answer.json()).unwrap();
        let id = run["run_id"].as_str().unwrap();
        client.until_status(id, "completed").await;
        let taken = client.get(&format!("/runs/{id}/input_data")).await.good()["input_data"]["prompt"].clone();
        for (prompt, answer) in &starts {
            let expected = if taken == *prompt { 200 } else { 409 };
            assert_eq!(answer.status, expected, "{key}: {prompt} against {taken}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn the_list_is_light_filtered_and_newest_first() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let first = echoed(client, "1").await;
    let second = start(client, "ask", json!({})).await;
    client.until_status(&second, "waiting").await;
    let parent = start(client, "parent", json!({})).await;
    client.until_run(&parent, "waiting", |run| run["status"] == "waiting").await;
    let items = |path: &str| {
        let path = path.to_owned();
        async move { client.get(&path).await.good()["items"].as_array().unwrap().clone() }
    };
    let listed = testkit::until("four runs in the list", testkit::SOON, async || {
        let listed = items("/runs").await;
        let asks = listed.iter().filter(|row| row["status"] == "waiting").count();
        if listed.len() == 4 && asks == 3 { Ok(listed) } else { Err(format!("{listed:?}")) }
    })
    .await;
    let times: Vec<&str> = listed.iter().map(|row| row["updated_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
    for row in &listed {
        assert_eq!(keys(row), ROW);
        let unset = ["current_node", "error", "schedule", "limits"];
        assert!(unset.iter().all(|key| row[*key].is_null()) && row["paused"] == false, "{row}");
    }
    let asks = listed.iter().find(|row| row["run_id"] == second).unwrap();
    assert_eq!(asks["waiting"], json!({"reason": "user"}));
    assert_eq!((&asks["status"], &asks["ledger_len"]), (&json!("waiting"), &json!(2)));
    let ids = |rows: Vec<Value>| rows.iter().map(|row| row["run_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(items("/runs?status=completed").await), std::slice::from_ref(&first));
    assert_eq!(ids(items(&format!("/runs?session_id={first}")).await), std::slice::from_ref(&first));
    assert_eq!(ids(items("/runs?workflow_id=fix@0.1.0:echo").await), [first]);
    assert_eq!(items("/runs?root_only=true").await.len(), 3);
    assert_eq!(items("/runs?limit=2").await.len(), 2);
    let metrics = items("/runs?include_metrics=true&limit=1").await;
    assert_eq!(keys(&metrics[0])[20..], ["steps", "llm_calls", "tool_calls", "tokens_total", "ledger_len"]);
    let wrong = "Invalid status (expected: running|waiting|completed|failed|cancelled)";
    assert_eq!(client.get("/runs?status=odd").await.refusal(), (400, wrong.to_owned()));
    let issue = json!({"detail": [{"type": "greater_than_equal", "loc": ["query", "limit"],
        "msg": "Input should be greater than or equal to 1", "input": "0", "ctx": {"ge": 1}}]});
    assert_eq!(client.get("/runs?limit=0").await.json(), issue);
}

#[tokio::test]
async fn inputs_are_read_back_by_pin() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let run = start(client, "echo", json!({"prompt": "Hello", "other": 1, "_hidden": 2})).await;
    let inputs = client.get(&format!("/runs/{run}/input_data")).await.good();
    assert_eq!(
        (&inputs["run_id"], &inputs["workflow_id"], &inputs["bundle_id"], &inputs["flow_id"]),
        (&json!(run), &json!("fix@0.1.0:echo"), &json!("fix"), &json!("echo"))
    );
    assert_eq!((&inputs["pin_ids"], &inputs["input_data"]), (&json!(["prompt"]), &json!({"prompt": "Hello"})));
    assert_eq!(client.get("/runs/nope/input_data").await.status, 404);
}

#[tokio::test]
async fn a_model_that_fails_fails_its_run_and_says_why() {
    let model = FakeModel::start(&[json!({"http_error": 400, "message": "no such thing"})]).await;
    let gateway = started(gateway().model(&model)).await;
    let client = &gateway.client;
    let run = start(client, "llm", json!({"prompt": "hi"})).await;
    let failed = client.until_ended(&run).await;
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("no such thing"), "{failed}");
    let ledger = client.ledger(&run).await;
    assert_eq!(short(&ledger), ["ask started llm_call", "ask failed llm_call", "ask completed emit_event"]);
    assert_eq!(ledger[2]["idempotency_key"], "system:terminal_status:failed");
    let again = start(client, "llm", json!({"prompt": "hi"})).await;
    client.until_status(&again, "completed").await;
    assert_eq!(client.ledger(&again).await[1]["result"]["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn a_newer_version_is_what_starts_and_an_older_one_what_was_asked_for() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    client.upload(fix("0.10.0")).await.good();
    let body = json!({"bundle_id": "fix", "flow_id": "echo"});
    let newest = client.start(&body).await;
    assert_eq!(client.run(&newest).await["workflow_id"], "fix@0.10.0:echo");
    let older = client.start(&json!({"flow_id": "fix@0.1.0:echo"})).await;
    assert_eq!(client.run(&older).await["workflow_id"], "fix@0.1.0:echo");
    let clash = json!({"bundle_id": "fix@0.1.0", "bundle_version": "0.10.0", "flow_id": "echo"});
    assert_eq!(client.post("/runs/start", &clash).await.status, 400);
}
