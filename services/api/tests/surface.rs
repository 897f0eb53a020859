//! Laws of the HTTP surface over a real broker.

mod world;

use axum::body::Body;
use domain::RunId;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use world::{SOON, World, bundle, echo, fix};

async fn echo_run(world: &World) -> RunId {
    let run = world
        .start_run(
            json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "Hello"}, "session_id": "s-1"}),
        )
        .await;
    world.step(&run).await;
    run
}

#[tokio::test]
async fn a_run_is_known_from_its_acceptance_to_its_end() {
    let world = World::start().await;
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "Hello", "_evil": 1}, "session_id": "s-1"})).await;
    let begun = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&begun["status"], &begun["current_node"]),
        (&json!("running"), &json!("start"))
    );
    assert_eq!(begun.as_object().map(serde_json::Map::len), Some(21));
    assert_eq!(
        world.get(&format!("/runs/{run}/ledger")).await.text,
        r#"{"items":[],"next_after":0}"#
    );
    let listed = world.get("/runs?session_id=s-1").await.json();
    assert_eq!(
        (&listed["items"][0]["run_id"], &listed["items"][0]["ledger_len"]),
        (&json!(run), &json!(0))
    );
    world.step(&run).await;
    let done = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&done["status"], &done["current_node"], &done["session_id"]),
        (&json!("completed"), &json!("end"), &json!("s-1"))
    );
    assert_eq!(
        done.as_object().map(|object| object.keys().collect::<Vec<_>>()),
        begun.as_object().map(|object| object.keys().collect())
    );
    let page = world.get(&format!("/runs/{run}/ledger")).await.json();
    assert_eq!(
        page["items"][0]["result"]["output"],
        json!({"response": "Hello", "success": true})
    );
    assert_eq!(page["items"][0].as_object().map(serde_json::Map::len), Some(16));
    assert_eq!(page["next_after"], 2);
    let after_end = world.get(&format!("/runs/{run}/ledger?after=99")).await;
    assert_eq!(after_end.text, r#"{"items":[],"next_after":99}"#);
    let input = world.get(&format!("/runs/{run}/input_data")).await.json();
    assert_eq!(
        input,
        json!({"run_id": run, "workflow_id": "fix@0.1.0:echo", "bundle_id": "fix", "bundle_version": "0.1.0",
            "flow_id": "echo", "pin_ids": ["prompt"], "input_data": {"prompt": "Hello"}, "workspace": {}})
    );
}

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
        assert_eq!(
            world.get(path).await.detail(),
            (404, "Run 'nope' not found".to_owned()),
            "{path}"
        );
    }
    assert_eq!(
        world.get("/bundles/nope").await.detail(),
        (404, "Bundle 'nope' not found".to_owned())
    );
    assert_eq!(
        world.get("/bundles/fix/flows/nope").await.detail(),
        (404, "Flow 'nope' not found in bundle 'fix@0.1.0'".to_owned())
    );
    assert_eq!(
        world.get("/commands/nope").await.detail(),
        (404, "Command 'nope' not found".to_owned())
    );
    assert_eq!(world.get("/workflows/scheduled:x/flow").await.status, 404);
    let start = async |body: Value| world.post("/runs/start", body).await.detail();
    assert_eq!(
        start(json!({"bundle_id": "nope"})).await,
        (404, "Bundle 'nope' not found".to_owned())
    );
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
    assert_eq!(
        start(json!({"bundle_id": "__catalog__v2__x", "flow_id": "y"})).await.0,
        403
    );
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_run_and_another_request_a_conflict() {
    let world = World::start().await;
    let start = async |prompt: &str| {
        let request = http::Request::post("/api/gateway/runs/start").header("idempotency-key", "key-1");
        world
            .send(
                request,
                json!({"bundle_id": "fix", "input_data": {"prompt": prompt}}).to_string(),
            )
            .await
    };
    let first = start("a").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(start("a").await.text, first.text);
    world.step(&RunId::new(first.json()["run_id"].as_str().unwrap())).await;
    assert_eq!(start("a").await.text, first.text);
    assert_eq!(
        start("b").await.detail(),
        (409, "Idempotency-Key was used with a different request".to_owned())
    );
    assert_eq!(
        world.get("/runs").await.json()["items"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_stream_of_an_ended_run_replays_it_and_says_done() {
    let world = World::start().await;
    let run = echo_run(&world).await;
    let stream = world.get(&format!("/runs/{run}/ledger/stream")).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream; charset=utf-8");
    assert!(!stream.headers.contains_key("cache-control"));
    let events: Vec<&str> = stream.text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{}", stream.text);
    assert!(events[0].starts_with("id: 1\nevent: step\ndata: {\"cursor\": 1, \"record\": {"));
    assert_eq!(
        events[2],
        format!("event: done\ndata: {{\"run_id\": \"{run}\", \"cursor\": 2, \"status\": \"terminal\"}}")
    );
    let rest = world.get(&format!("/runs/{run}/ledger/stream?after=1")).await;
    assert!(rest.text.starts_with("id: 2\n"));
    let past = world.get(&format!("/runs/{run}/ledger/stream?after=9")).await;
    assert_eq!(
        past.text,
        format!("event: done\ndata: {{\"run_id\": \"{run}\", \"cursor\": 9, \"status\": \"terminal\"}}\n\n")
    );
    let resumed = http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream")).header("last-event-id", "1");
    assert!(world.send(resumed, Body::empty()).await.text.starts_with("id: 2\n"));
    let both =
        http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream?after=0")).header("last-event-id", "1");
    assert!(
        world.send(both, Body::empty()).await.text.starts_with("id: 1\n"),
        "after wins"
    );
}

#[tokio::test]
async fn a_live_stream_shows_each_record_once_and_keeps_its_client_awake() {
    let world = World::start().await;
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "ask"})).await;
    let request = http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream?heartbeat_s=0.15"));
    let mut body = world.open(request, Body::empty()).await.into_body();
    world.step(&run).await;
    let mut text = String::new();
    let mut read_until = async |text: &mut String, wanted: &str| {
        while !text.contains(wanted) {
            let frame = tokio::time::timeout(SOON, body.frame())
                .await
                .unwrap_or_else(|_| panic!("no {wanted} in {text}"));
            text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
        }
    };
    read_until(&mut text, "id: 2\n").await;
    read_until(&mut text, ": keep-alive\n\n").await;
    let waiting = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&waiting["waiting"]["reason"], &waiting["waiting"]["prompt"]),
        (&json!("user"), &json!("who are you ?"))
    );
    let command =
        json!({"command_id": "c-1", "run_id": run, "type": "resume", "payload": {"payload": {"response": "me"}}});
    assert_eq!(
        world.post("/commands", command).await.text,
        r#"{"accepted":true,"duplicate":false,"seq":1}"#
    );
    world.route("c-1").await;
    world.step(&run).await;
    read_until(&mut text, "event: done").await;
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_command_is_accepted_once_and_its_outcome_can_be_read() {
    let world = World::start().await;
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "ask"})).await;
    world.step(&run).await;
    let cancel = json!({"command_id": "c-1", "run_id": run, "type": "cancel", "payload": {"reason": "enough"}});
    assert_eq!(
        world.post("/commands", cancel.clone()).await.text,
        r#"{"accepted":true,"duplicate":false,"seq":1}"#
    );
    assert_eq!(
        world.post("/commands", cancel).await.text,
        r#"{"accepted":false,"duplicate":true,"seq":1}"#
    );
    let unknown = json!({"command_id": "", "run_id": "no-such-run", "type": "pause"});
    assert_eq!(
        world.post("/commands", unknown).await.text,
        r#"{"accepted":true,"duplicate":false,"seq":2}"#
    );
    let wrong = json!({"command_id": "x", "run_id": run, "type": "explode", "payload": {}});
    let types = "type must be one of pause|resume|cancel|emit_event|update_schedule|compact_memory";
    assert_eq!(world.post("/commands", wrong).await.detail(), (400, types.to_owned()));
    assert_eq!(world.get("/commands/c-1").await.json()["status"], "accepted");
    let waited = world.get("/commands/c-1?wait_s=20");
    let applied = async {
        world.route("c-1").await;
        world.step(&run).await;
    };
    let (outcome, ()) = tokio::join!(waited, applied);
    let outcome = outcome.json();
    assert_eq!(
        (&outcome["status"], &outcome["type"], &outcome["seq"]),
        (&json!("applied"), &json!("cancel"), &json!(1))
    );
    let cancelled = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&cancelled["status"], &cancelled["error"]),
        (&json!("cancelled"), &json!("enough"))
    );
    assert_eq!(
        outcome["cursor"],
        world.get(&format!("/runs/{run}/ledger")).await.json()["next_after"]
    );
}

#[tokio::test]
async fn bundles_are_listed_installed_deprecated_and_removed() {
    let world = World::start().await;
    let listed = world.get("/bundles").await.json();
    assert_eq!(
        (&listed["default_bundle_id"], &listed["items"][0]["bundle_ref"]),
        (&json!("fix"), &json!("fix@0.1.0"))
    );
    let uploaded = world
        .upload(&bundle("up", "0.2.0", &[("echo", echo())]), false)
        .await
        .json();
    assert_eq!(
        (&uploaded["bundle_ref"], &uploaded["gateway_reloaded"]),
        (&json!("up@0.2.0"), &json!(true))
    );
    let again = world.upload(&bundle("up", "0.2.0", &[("echo", echo())]), false).await;
    assert_eq!(
        again.detail(),
        (400, "Bundle already installed: up@0.2.0.flow".to_owned())
    );
    assert_eq!(
        world.upload(b"no zip", false).await.detail(),
        (400, "Failed installing bundle: File is not a zip file".to_owned())
    );
    world
        .upload(&bundle("up", "draft.abc", &[("echo", echo())]), false)
        .await;
    let all = world.get("/bundles?all_versions=true&include_drafts=true").await.json();
    let references: Vec<&str> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["bundle_ref"].as_str())
        .collect();
    assert_eq!(references, ["fix@0.1.0", "up@0.2.0", "up@draft.abc"]);
    assert_eq!(
        (
            &all["items"][1]["latest_published_version"],
            &all["items"][1]["latest_any_version"]
        ),
        (&json!("0.2.0"), &json!("draft.abc"))
    );
    let draft = json!({"bundle_id": "up", "bundle_version": "draft.abc"});
    let refused = (
        400,
        "draft bundle versions require run_lifecycle.purpose='draft_test'".to_owned(),
    );
    assert_eq!(world.post("/runs/start", draft).await.detail(), refused);
    let deprecated = world
        .post("/bundles/up/deprecate", json!({"flow_id": "echo", "reason": "old"}))
        .await
        .json();
    assert_eq!(
        (&deprecated["flow_id"], &deprecated["reason"]),
        (&json!("echo"), &json!("old"))
    );
    assert_eq!(
        world.post("/runs/start", json!({"bundle_id": "up"})).await.detail(),
        (409, "Workflow 'up:echo' is deprecated: old".to_owned())
    );
    assert_eq!(
        world.get("/bundles").await.json()["items"].as_array().map(Vec::len),
        Some(1)
    );
    let back = world.post("/bundles/up/undeprecate", json!({"flow_id": "echo"})).await;
    assert_eq!(
        back.text,
        r#"{"ok":true,"bundle_id":"up","flow_id":"echo","removed":true}"#
    );
    let removed = world
        .send(
            http::Request::delete("/api/gateway/bundles/up?bundle_version=0.2.0"),
            Body::empty(),
        )
        .await;
    assert_eq!(
        removed.text,
        r#"{"ok":true,"bundle_ref":"up@0.2.0","removed":1,"gateway_reloaded":true,"gateway_reload_error":null}"#
    );
    let missing = world
        .send(
            http::Request::delete("/api/gateway/bundles/up?bundle_version=9.9.9"),
            Body::empty(),
        )
        .await;
    assert_eq!(missing.detail(), (404, "Bundle 'up@9.9.9' not found".to_owned()));
    let schema = world.get("/bundles/fix/flows/fix:echo/input_schema").await.json();
    assert_eq!(
        (&schema["version"], &schema["defaults"]),
        (&json!(1), &json!({"prompt": "hi"}))
    );
    let flow = world.get("/workflows/fix@0.1.0:echo/flow").await.json();
    assert_eq!(
        (&flow["flow"]["id"], &flow["workflow_id"]),
        (&json!("echo"), &json!("fix@0.1.0:echo"))
    );
}

#[tokio::test]
async fn a_directory_is_followed_on_reload() {
    let world = World::start().await;
    let file = world.directory.path().join("flows/two.flow");
    std::fs::write(&file, bundle("two", "1.0.0", &[("echo", echo())])).unwrap();
    std::fs::write(world.directory.path().join("flows/broken.flow"), b"no zip").unwrap();
    assert_eq!(
        world.post("/bundles/reload", json!({})).await.text,
        r#"{"ok":true,"bundle_ids":["fix","two"],"count":2}"#
    );
    std::fs::remove_file(&file).unwrap();
    std::fs::write(world.directory.path().join("flows/fix.flow"), fix("0.2.0")).unwrap();
    assert_eq!(
        world.post("/bundles/reload", json!({})).await.text,
        r#"{"ok":true,"bundle_ids":["fix"],"count":1}"#
    );
    assert_eq!(
        world.get("/bundles").await.json()["items"][0]["bundle_version"],
        "0.2.0"
    );
    let removed = world
        .send(http::Request::delete("/api/gateway/bundles/fix"), Body::empty())
        .await;
    assert_eq!(removed.json()["gateway_reload_error"], Value::Null);
    assert_eq!(
        world.post("/bundles/reload", json!({})).await.text,
        r#"{"ok":true,"bundle_ids":[],"count":0}"#
    );
}

#[tokio::test]
async fn a_schedule_is_a_run_of_a_generated_flow() {
    let world = World::start().await;
    let body = json!({"bundle_id": "fix", "flow_id": "echo", "input_data": {"prompt": "Ping"}, "interval": "2s",
        "repeat_count": 2, "session_id": "s"});
    let answer = world.post("/runs/schedule", body).await.json();
    let run = answer["run_id"].as_str().unwrap();
    let shown = world.get(&format!("/runs/{run}")).await.json();
    assert_eq!(
        (&shown["is_scheduled"], &shown["current_node"]),
        (&json!(true), &json!("start"))
    );
    let schedule = shown["schedule"].as_object().unwrap();
    assert_eq!(
        (
            &schedule["interval"],
            &schedule["repeat_count"],
            &schedule["target_workflow_id"]
        ),
        (&json!("2s"), &json!(2), &json!("fix@0.1.0:echo"))
    );
    assert_eq!(schedule.keys().next_back().map(String::as_str), Some("updated_at"));
    let workflow = shown["workflow_id"].as_str().unwrap();
    let flow = world.get(&format!("/workflows/{workflow}/flow")).await.json();
    assert_eq!(
        (&flow["source"], &flow["flow"]["id"]),
        (&json!("dynamic"), &json!(workflow))
    );
    let input = world.get(&format!("/runs/{run}/input_data")).await.json();
    assert_eq!(
        (&input["flow_id"], &input["input_data"]),
        (&json!("echo"), &json!({"prompt": "Ping"}))
    );
    let unknown = json!({"bundle_id": "fix", "flow_id": "nope"});
    assert_eq!(
        world.post("/runs/schedule", unknown).await.detail(),
        (404, "Target workflow 'fix@0.1.0:nope' not found".to_owned())
    );
    let nowhere = json!({"bundle_id": "nope", "flow_id": "nope"});
    assert_eq!(
        world.post("/runs/schedule", nowhere).await.detail(),
        (404, "Bundle 'nope' has no versions loaded".to_owned())
    );
}

#[tokio::test]
async fn a_batch_leaves_out_unknown_runs_and_a_history_holds_everything() {
    let world = World::start().await;
    let run = echo_run(&world).await;
    let body = json!({"limit": 1, "runs": [{"run_id": run, "after": 1}, {"run_id": "nope"}]});
    let batch = world.post("/runs/ledger/batch", body).await.json();
    assert_eq!(batch["runs"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(
        (
            &batch["runs"][run.as_str()]["next_after"],
            &batch["runs"][run.as_str()]["items"][0]["effect"]["type"]
        ),
        (&json!(2), &json!("emit_event"))
    );
    let history = world
        .get(&format!("/runs/{run}/history_bundle?include_session=true"))
        .await
        .json();
    assert_eq!(
        (&history["version"], &history["run"]["status"]),
        (&json!(1), &json!("completed"))
    );
    let window = &history["ledgers"][run.as_str()];
    assert_eq!(
        (&window["total"], &window["cursor_start"], &window["cursor_end"]),
        (&json!(2), &json!(1), &json!(2))
    );
    assert_eq!(history["timeline"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (
            &history["session"]["turns"][0]["prompt"],
            &history["session"]["turns"][0]["answer"]
        ),
        (&json!("Hello"), &json!("Hello"))
    );
    let tail = world
        .get(&format!("/runs/{run}/history_bundle?ledger_max_items=1"))
        .await
        .json();
    assert_eq!(tail["ledgers"][run.as_str()]["cursor_start"], 2);
    let wrong = world.get(&format!("/runs/{run}/history_bundle?ledger_mode=some")).await;
    assert_eq!(wrong.detail(), (400, "ledger_mode must be one of tail|full".to_owned()));
}

/// An acknowledged start leaves the inbox a moment after its acknowledgement.
async fn gone(world: &World, run: &RunId) {
    let gone = async { while world.get(&format!("/runs/{run}")).await.status != 404 {} };
    tokio::time::timeout(SOON, gone)
        .await
        .unwrap_or_else(|_| panic!("{run} is still there"));
}

#[tokio::test]
async fn only_ephemeral_drafts_whose_time_has_come_are_purged() {
    let world = World::start().await;
    let lifecycle = |retention: Value| json!({"purpose": "draft_test", "retention": retention, "junk": 1});
    let mut runs = Vec::new();
    for retention in [
        json!({"mode": "ephemeral", "expires_at": "2020-01-01"}),
        json!({"mode": "ephemeral"}),
        json!({"mode": "kept"}),
    ] {
        let run = world
            .start_run(json!({"bundle_id": "fix", "run_lifecycle": lifecycle(retention)}))
            .await;
        world.step(&run).await;
        runs.push(run);
    }
    let kept = echo_run(&world).await;
    let shown = world.get(&format!("/runs/{}", runs[0])).await.json();
    assert_eq!(
        (&shown["is_draft"], &shown["run_lifecycle"]["junk"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(
        world.get("/runs").await.json()["items"].as_array().map(Vec::len),
        Some(1),
        "drafts are hidden"
    );
    let dry = world.post("/runs/purge_drafts", json!({})).await.json();
    assert_eq!(
        (&dry["dry_run"], &dry["eligible"], &dry["purged"], &dry["scanned"]),
        (&json!(true), &json!(1), &json!(0), &json!(3))
    );
    let done = world.post("/runs/purge_drafts", json!({"dry_run": false})).await.json();
    assert_eq!((&done["purged"], &done["skipped"]), (&json!(1), &json!(2)));
    gone(&world, &runs[0]).await;
    assert_eq!(world.get(&format!("/runs/{kept}")).await.status, 200);
    let unknown = world.post("/runs/purge_drafts", json!({"bogus": 1})).await;
    assert_eq!(
        (unknown.status, &unknown.json()["detail"][0]["type"]),
        (422, &json!("extra_forbidden"))
    );
    let named = world
        .post("/runs/purge_drafts", json!({"run_ids": ["nope", runs[2]]}))
        .await
        .json();
    let reasons: Vec<&str> = named["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["reason"].as_str())
        .collect();
    assert_eq!(reasons, ["not_ephemeral_draft", "missing"]);
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
            let answer = world
                .send(http::Request::post(format!("/api/gateway{path}")), body.to_owned())
                .await;
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
    assert_eq!(
        world.send(http::Request::get("/metrics"), Body::empty()).await.status,
        200
    );
    let root = world.send(http::Request::get("/"), Body::empty()).await;
    assert_eq!(
        (root.status, root.headers["location"].to_str().unwrap()),
        (307, "/docs")
    );
    let document = world
        .send(http::Request::get("/openapi.json"), Body::empty())
        .await
        .json();
    assert_eq!(document["info"]["title"], "AbstractGateway");
    let run = world.start_run(json!({"bundle_id": "fix", "flow_id": "ask"})).await;
    let open = world
        .open(
            http::Request::get(format!("/api/gateway/runs/{run}/ledger/stream")),
            Body::empty(),
        )
        .await;
    let drained = world.tasks.stop(SOON).await;
    assert_eq!(drained.aborted, Vec::<String>::new());
    let rest = tokio::time::timeout(SOON, open.into_body().collect())
        .await
        .expect("the stream ends")
        .unwrap();
    assert!(rest.to_bytes().is_empty());
    let audited = std::fs::read_to_string(world.directory.path().join("audit_log.jsonl")).unwrap();
    assert_eq!(audited.lines().count(), 1, "{audited}");
    assert!(
        world
            .health
            .readiness()
            .checks
            .iter()
            .all(|check| !check.name.is_empty())
    );
}
