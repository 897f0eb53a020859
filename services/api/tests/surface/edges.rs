//! What is not there, what makes no sense, and the end.

use crate::world::{SOON, World};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_not_there_is_a_404_with_the_words_of_the_contract() {
    let world = World::start().await;
    for path in [
        "/runs/nope",
        "/runs/nope/ledger",
        "/runs/nope/ledger/stream",
        "/runs/nope/input_data",
        "/runs/nope/history_bundle",
    ] {
        assert_eq!(world.get(path).await.detail(), (404, "Run 'nope' not found".to_owned()), "{path}");
    }
    assert_eq!(world.get("/bundles/nope").await.detail(), (404, "Bundle 'nope' not found".to_owned()));
    assert_eq!(
        world.get("/bundles/fix/flows/nope").await.detail(),
        (404, "Flow 'nope' not found in bundle 'fix@0.1.0'".to_owned())
    );
    assert_eq!(world.get("/commands/nope").await.detail(), (404, "Command 'nope' not found".to_owned()));
    assert_eq!(world.get("/workflows/scheduled:x/flow").await.status, 404);
    let start = async |body: Value| world.post("/runs/start", body).await.detail();
    assert_eq!(start(json!({"bundle_id": "nope"})).await, (404, "Bundle 'nope' not found".to_owned()));
    assert_eq!(
        start(json!({"bundle_id": "fix", "flow_id": "nope"})).await,
        (404, "Workflow 'fix@0.1.0:nope' not found".to_owned())
    );
    let missing = "flow_id is required (or provide bundle_id to start a bundle entrypoint)";
    assert_eq!(start(json!({"input_data": {}})).await, (400, missing.to_owned()));
    assert_eq!(
        start(json!({"registry_scope": "galaxy", "flow_id": "x"})).await,
        (400, "Unsupported registry_scope: galaxy".to_owned())
    );
    assert_eq!(
        start(json!({"bundle_id": "fix", "input_data": {"prompt": {"$artifact": "nope"}}})).await,
        (404, "Artifact 'nope' not found".to_owned())
    );
    assert_eq!(start(json!({"bundle_id": "__catalog__v2__x", "flow_id": "y"})).await.0, 403);
}

#[tokio::test]
async fn no_body_makes_a_500() {
    let world = World::start().await;
    let bodies = [
        "",
        "null",
        "[]",
        "{",
        "{\"a\":",
        "\"x\"",
        "1e999",
        "{\"command_id\":\"\\ud800\"}",
        "{\"limit\":1e400}",
        "\u{0}",
        "{\"bundle_id\":\"a@b@c:d\",\"flow_id\":\"::@@\"}",
        "{\"bundle_id\":\"\\u0000\",\"flow_id\":\" * > .\"}",
        "{\"command_id\":\"* >\",\"run_id\":\" .*\",\"type\":\"cancel\",\"payload\":{\"reason\":{}}}",
        "{\"runs\":[{\"run_id\":\"*.>\",\"after\":9007199254740993}],\"limit\":2}",
        "{\"run_ids\":[\"' OR 1=1\"],\"dry_run\":false}",
        "{\"bundle_id\":\"fix\",\"flow_id\":\"echo\",\"repeat_until\":\"9999-12-31\",\"interval\":\"9223372036854775807d\"}",
        "{\"bundle_id\":\"fix\",\"flow_id\":\"echo\",\"repeat_count\":9223372036854775807,\"interval\":\"1s\"}",
    ];
    let deep = format!("{{\"input_data\":{}1{}}}", "{\"a\":".repeat(400), "}".repeat(400));
    let paths = [
        "/runs/start",
        "/runs/schedule",
        "/commands",
        "/runs/purge_drafts",
        "/runs/ledger/batch",
        "/bundles/fix/deprecate",
        "/bundles/upload",
    ];
    for path in paths {
        for body in bodies.iter().copied().chain([deep.as_str()]) {
            let answer = world.send(http::Request::post(format!("/api/gateway{path}")), body.to_owned()).await;
            assert!(answer.status < 500, "{path} {body}: {} {}", answer.status, answer.text);
        }
    }
    for path in [
        "/runs/%00",
        "/runs/*/ledger",
        "/runs/%3E/ledger?after=18446744073709551615",
        "/runs?limit=1&status=%FF",
        "/bundles/..%2F..",
        "/commands/%20",
        "/workflows/:/flow",
        "/runs/%ff%fe",
    ] {
        let answer = world.get(path).await;
        assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text);
    }
    assert_eq!(world.get("/ping").await.status, 200);
}

#[tokio::test]
async fn probes_answer_and_streams_end_when_the_service_stops() {
    let world = World::start().await;
    let ready = world.send(http::Request::get("/readyz"), Body::empty()).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    assert_eq!(world.send(http::Request::get("/metrics"), Body::empty()).await.status, 200);
    let root = world.send(http::Request::get("/"), Body::empty()).await;
    assert_eq!((root.status, root.headers["location"].to_str().unwrap()), (307, "/docs"));
    let document = world.send(http::Request::get("/openapi.json"), Body::empty()).await.json();
    assert_eq!(document["info"]["title"], "AbstractGateway");
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "ask"})).await;
    let open = world.open(http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream")), Body::empty()).await;
    let drained = world.tasks.stop(SOON).await;
    assert_eq!(drained.aborted, Vec::<String>::new());
    let rest = tokio::time::timeout(SOON, open.into_body().collect()).await.expect("the stream ends").unwrap();
    assert!(rest.to_bytes().is_empty());
    let audited = std::fs::read_to_string(world.directory.path().join("audit_log.jsonl")).unwrap();
    assert_eq!(audited.lines().count(), 1, "{audited}");
    assert!(world.health.readiness().checks.iter().all(|check| !check.name.is_empty()));
}

#[tokio::test]
async fn every_described_operation_is_served() {
    let world = World::start().await;
    for operation in api::routes::operations() {
        let path: String = operation.path.replace("{", "no-").replace("}", "");
        if operation.produces == "text/event-stream" {
            continue;
        }
        let request = http::Request::builder().method(operation.method.clone()).uri(&path);
        let answer = world.send(request, Body::empty()).await;
        let known =
            !["Not Found", "Method Not Allowed"].iter().any(|word| answer.text == format!("{{\"detail\":\"{word}\"}}"));
        assert!(known, "{} {path}: {}", operation.method, answer.text);
    }
}

/// Values that have broken parsers, databases and subjects before, for fields that expect something else.
fn hostile() -> Vec<Value> {
    let mut values: Vec<Value> = [
        "",
        " ",
        "*",
        ">",
        "a.b",
        "fix",
        "fix@0.1.0",
        "fix@0.1.0:echo",
        "echo",
        "scheduled:x",
        "\u{0}",
        "'; --",
        "\u{1f600}",
        "now",
        "9999-12-31",
        "1s",
        "-1",
    ]
    .into_iter()
    .map(Value::from)
    .collect();
    values.extend([json!(null), json!(0), json!(-1), json!(i64::MAX), json!(1.5), json!(true), json!([]), json!({})]);
    values.push(Value::from("x".repeat(100_000)));
    values.push(json!({"_runtime": {"depth": -1}, "_limits": 1, "a": {"$artifact": "../../x"}}));
    values
}

#[tokio::test]
async fn no_field_of_any_body_makes_a_500() {
    let world = World::start().await;
    for operation in api::routes::operations() {
        let api::operation::BodyKind::Json { fields, .. } = operation.body else { continue };
        let path = operation.path.replace("{bundle_id}", "fix");
        for field in fields {
            for value in hostile() {
                let mut body =
                    json!({"bundle_id": "fix", "flow_id": "echo", "command_id": "c", "run_id": "r", "type": "cancel"});
                body[field.name] = value;
                let request = http::Request::builder().method(operation.method.clone()).uri(&path);
                let answer = world.send(request, body.to_string()).await;
                assert!(answer.status < 500, "{path} {} {}: {}", field.name, body[field.name], answer.text);
            }
        }
    }
    let listed = world.get("/runs?limit=500&include_drafts=true").await;
    assert_eq!(listed.status, 200, "{}", listed.text);
}
