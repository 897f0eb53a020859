//! The control plane's answers against the schemas that the OpenAPI document gives them.

use crate::control::{submit, until_status, world};
use crate::flows;
use serde_json::{Value, json};

/// What is wrong with a value by a schema, where it stands. Keys that the schema does not name are wrong, too.
fn flaws(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/components/schemas/");
        return flaws(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let tried = choices.iter().map(|choice| flaws(document, choice, value, at));
        return tried.min_by_key(Vec::len).unwrap_or_default();
    }
    let fits = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        Some(other) => panic!("{other}"),
    };
    if !fits {
        return vec![format!("{at} is {value} and no {}", schema["type"])];
    }
    let mut found = Vec::new();
    for item in value.as_array().into_iter().flatten() {
        found.extend(flaws(document, &schema["items"], item, at));
    }
    let Some(properties) = schema["properties"].as_object() else {
        for (key, value) in value.as_object().into_iter().flatten() {
            found.extend(flaws(document, &schema["additionalProperties"], value, &format!("{at}.{key}")));
        }
        return found;
    };
    for key in schema["required"].as_array().into_iter().flatten() {
        if value.get(key.as_str().unwrap()).is_none() {
            found.push(format!("{at}.{key} is missing"));
        }
    }
    for (key, value) in value.as_object().unwrap() {
        match properties.get(key) {
            Some(schema) => found.extend(flaws(document, schema, value, &format!("{at}.{key}"))),
            None => found.push(format!("{at}.{key} is not described")),
        }
    }
    found
}

#[tokio::test]
async fn what_the_control_plane_answers_is_what_its_document_describes() {
    let (gateway, worker) = world().await;
    let client = &gateway.client;
    let document = client.get("//openapi.json").await.good();
    let done = submit(client, &json!({"service_type": "echo-type", "payload": [1]})).await;
    until_status(client, &done, "completed").await;
    let held = submit(client, &json!({"service_type": "echo-type", "payload": {"hold": true}})).await;
    until_status(client, &held, "running").await;
    let waiting = submit(client, &json!({"service_type": "echo-type", "payload": [1], "priority": 2})).await;

    let container = json!({
        "name": "made", "container": "made-1", "port": 9, "type": "made", "vram_gb": 1.5,
        "definition": {"image": "a/b:1", "env": {"KEY": "secret"}, "volumes": ["/m:/m:ro"], "gpus": "all"},
    });
    let one = json!({"service_type": "echo-type", "payload": [1]});
    let posts = [
        ("/services/register", "/services/register", container),
        ("/queue/submit", "/queue/submit", one.clone()),
        ("/queue/submit", "/queue/submit?dry_run=true", one.clone()),
        ("/queue/batch", "/queue/batch", json!({"jobs": [one]})),
        ("/queue/{job_id}/progress", &format!("/queue/{held}/progress"), json!({"step": 1})),
        ("/services/{name}/disable", "/services/made/disable", json!({})),
        ("/services/{name}/enable", "/services/made/enable", json!({})),
        ("/services/{name}/start", "/services/echo/start", json!({})),
        ("/preempt/release/{service}", "/preempt/release/echo", json!({})),
    ];
    let mut wrong = Vec::new();
    let mut check = |method: &str, route: &str, answer: &Value| {
        let schema = &document["paths"][route][method]["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema["$ref"].is_string(), "{method} {route} has no schema");
        wrong.extend(flaws(&document, schema, answer, route));
    };
    for (route, path, body) in &posts {
        check("post", route, &client.post(&format!("/{path}"), body).await.good());
    }
    let gets = [
        ("/health", "/health".to_owned()),
        ("/gpu", "/gpu".to_owned()),
        ("/vram", "/vram".to_owned()),
        ("/available/{service_type}", "/available/echo-type".to_owned()),
        ("/available/{service_type}", "/available/none".to_owned()),
        ("/services", "/services".to_owned()),
        ("/services/{name}", "/services/made".to_owned()),
        ("/services/{name}/record", "/services/made/record".to_owned()),
        ("/queue", "/queue?explain=true".to_owned()),
        ("/queue/stats", "/queue/stats".to_owned()),
        ("/queue/{job_id}", format!("/queue/{done}")),
        ("/queue/{job_id}", format!("/queue/{held}")),
        ("/queue/{job_id}", format!("/queue/{waiting}")),
        ("/queue/{job_id}/explain", format!("/queue/{waiting}/explain")),
        ("/queue/{job_id}/progress", format!("/queue/{held}/progress")),
        ("/preempt/check/{service}", "/preempt/check/echo".to_owned()),
        ("/preempt/check/{service}", "/preempt/check/made".to_owned()),
    ];
    for (route, path) in &gets {
        check("get", route, &client.get(&format!("/{path}")).await.good());
    }
    check("delete", "/queue/{job_id}", &client.delete(&format!("//queue/{waiting}")).await.good());
    check("delete", "/services/{name}", &client.delete("//services/made").await.good());
    assert_eq!(wrong, Vec::<String>::new());
    worker.go.send_replace(true);
}

/// The events of a stream that has ended, by name.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let read = |event: &str| Some((field(event, "event: ")?, serde_json::from_str(&field(event, "data: ")?).unwrap()));
    text.split("\n\n").filter_map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_event_streams_tell_is_what_their_document_describes() {
    let (gateway, worker) = world().await;
    let client = &gateway.client;
    let document = client.get("//openapi.json").await.good();
    let fails =
        submit(client, &json!({"service_type": "echo-type", "payload": {"fail": true}, "max_attempts": 1})).await;
    until_status(client, &fails, "failed").await;
    let held = submit(client, &json!({"service_type": "echo-type", "payload": {"hold": true}})).await;
    until_status(client, &held, "running").await;
    client.post(&format!("//queue/{held}/progress"), &json!({"step": 1})).await.good();
    worker.go.send_replace(true);
    until_status(client, &held, "completed").await;
    let bundle = flows::started(flows::gateway()).await;
    let run = flows::start(&bundle.client, "echo", json!({"prompt": "hi"})).await;
    bundle.client.until_ended(&run).await;

    let ledger = "/api/gateway/runs/{run_id}/ledger/stream";
    let streams = [
        ("/queue/{job_id}/events", client.get(&format!("//queue/{held}/events")).await, 2),
        ("/queue/{job_id}/events", client.get(&format!("//queue/{held}/events?after=0")).await, 4),
        ("/queue/{job_id}/events", client.get(&format!("//queue/{fails}/events?after=0")).await, 3),
        (ledger, bundle.client.get(&format!("/runs/{run}/ledger/stream")).await, 2),
    ];
    let mut wrong = Vec::new();
    for (route, answer, least) in streams {
        let content = &document["paths"][route]["get"]["responses"]["200"]["content"]["text/event-stream"];
        let told = events(&answer.text);
        assert!(told.len() >= least, "{route}: {}", answer.text);
        for (name, data) in told {
            let schema = &content["schema"]["x-events"][&name];
            assert!(schema.is_object(), "{route} does not describe '{name}'");
            wrong.extend(flaws(&document, schema, &data, &format!("{route} {name}")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
