//! Laws of bundles.

use crate::world::{World, bundle, echo, fix};
use axum::body::Body;
use serde_json::{Value, json};

fn up(version: &str) -> Vec<u8> {
    bundle("up", version, &[("echo", echo())])
}

#[tokio::test]
async fn an_uploaded_bundle_is_listed_with_its_versions() {
    let world = World::start().await;
    let listed = world.get("/bundles").await.json();
    let first = (&listed["default_bundle_id"], &listed["items"][0]["bundle_ref"]);
    assert_eq!(first, (&json!("fix"), &json!("fix@0.1.0")));
    let uploaded = world.upload(&up("0.2.0"), false).await.json();
    assert_eq!(uploaded["entrypoints"][0]["description"], "fixture echo");
    assert_eq!((&uploaded["bundle_ref"], &uploaded["gateway_reloaded"]), (&json!("up@0.2.0"), &json!(true)));
    world.upload(&up("draft.abc"), false).await;
    let all = world.get("/bundles?all_versions=true&include_drafts=true").await.json();
    let items = all["items"].as_array().unwrap();
    let references: Vec<&str> = items.iter().filter_map(|item| item["bundle_ref"].as_str()).collect();
    assert_eq!(references, ["fix@0.1.0", "up@0.2.0", "up@draft.abc"]);
    let latest = (&items[1]["latest_published_version"], &items[1]["latest_any_version"]);
    assert_eq!(latest, (&json!("0.2.0"), &json!("draft.abc")));
    assert_eq!(world.get("/bundles").await.json()["default_bundle_id"], Value::Null);
    let draft = world.post("/runs/start", json!({"bundle_id": "up", "bundle_version": "draft.abc"})).await;
    let words = "draft bundle versions require run_lifecycle.purpose='draft_test'";
    assert_eq!(draft.detail(), (400, words.to_owned()));
}

#[tokio::test]
async fn what_cannot_be_installed_is_refused_and_says_why() {
    let world = World::start().await;
    world.upload(&up("0.2.0"), false).await;
    let again = world.upload(&up("0.2.0"), false).await;
    assert_eq!(again.detail(), (400, "Bundle already installed: up@0.2.0.flow".to_owned()));
    assert_eq!(world.upload(&up("0.2.0"), true).await.status, 200);
    let words = "Failed installing bundle: File is not a zip file";
    assert_eq!(world.upload(b"no zip", false).await.detail(), (400, words.to_owned()));
    let request = http::Request::post("/api/gateway/bundles/upload");
    let no_file = world.send(request.header("content-type", "multipart/form-data; boundary=b"), "--b--\r\n").await;
    let issue = json!([{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": null}]);
    assert_eq!((no_file.status, &no_file.json()["detail"]), (422, &issue));
}

#[tokio::test]
async fn a_bundle_of_many_megabytes_is_installed_and_a_larger_one_refused() {
    let world = World::start().await;
    let mut flow = echo();
    // Digits that follow from their place do not compress well.
    let noise: String = (0..5_000_000_u64)
        .map(|n| char::from(b'!' + (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 29) as u8 % 90))
        .collect();
    flow["description"] = noise.into();
    let large = bundle("large", "1.0.0", &[("echo", flow)]);
    assert!(large.len() > 3_000_000, "{}", large.len());
    let installed = world.upload(&large, false).await;
    assert_eq!(installed.status, 200, "{}", installed.text);
    let shown = world.get("/bundles/large/flows/echo").await;
    assert!(shown.text.len() > 5_000_000);
    let too_large = world.upload(&vec![b'x'; 78_643_201], false).await;
    assert_eq!(too_large.detail(), (413, "Bundle too large (78643201 bytes > 78643200 bytes)".to_owned()));
    let request = http::Request::post("/api/gateway/bundles/upload");
    let declared =
        request.header("content-type", "multipart/form-data; boundary=b").header("content-length", "99999999");
    let words = "Payload Too Large (99999999 bytes > 80740352 bytes)";
    assert_eq!(world.send(declared, "--b--").await.detail(), (413, words.to_owned()));
    let parts = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 2_500_000]));
    let head = "--b\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n".as_bytes().to_vec();
    let endless = futures::stream::iter(std::iter::once(Ok(head)).chain(parts));
    let request = http::Request::post("/api/gateway/bundles/upload");
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    assert_eq!(world.send(request, Body::from_stream(endless)).await.status, 413);
}

#[tokio::test]
async fn a_deprecated_entrypoint_is_hidden_and_cannot_be_started() {
    let world = World::start().await;
    world.upload(&up("0.2.0"), false).await;
    let mark = world.post("/bundles/up/deprecate", json!({"flow_id": "echo", "reason": "old"})).await.json();
    assert_eq!((&mark["flow_id"], &mark["reason"]), (&json!("echo"), &json!("old")));
    assert!(mark["deprecated_at"].as_str().unwrap().ends_with('Z'));
    let refused = (409, "Workflow 'up:echo' is deprecated: old".to_owned());
    assert_eq!(world.post("/runs/start", json!({"bundle_id": "up"})).await.detail(), refused);
    let later = json!({"bundle_id": "up", "flow_id": "echo"});
    assert_eq!(world.post("/runs/schedule", later).await.detail(), refused);
    assert_eq!(world.get("/bundles").await.json()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.get("/bundles/up").await.json()["entrypoints"][0]["deprecated_reason"], "old");
    let back = world.post("/bundles/up/undeprecate", json!({"flow_id": "echo"})).await;
    assert_eq!(back.text, r#"{"ok":true,"bundle_id":"up","flow_id":"echo","removed":true}"#);
    assert_eq!(world.post("/runs/start", json!({"bundle_id": "up"})).await.status, 200);
    let nowhere = world.post("/bundles/up/deprecate", json!({"flow_id": "nope"})).await;
    assert_eq!(nowhere.status, 404);
}

#[tokio::test]
async fn a_bundle_is_shown_by_parts_and_removed_by_version() {
    let world = World::start().await;
    world.upload(&up("0.2.0"), false).await;
    let schema = world.get("/bundles/fix/flows/fix:echo/input_schema").await.json();
    assert_eq!((&schema["version"], &schema["defaults"]), (&json!(1), &json!({"prompt": "hi"})));
    let flow = world.get("/workflows/fix@0.1.0:echo/flow").await;
    assert_eq!(flow.text, world.get("/bundles/fix@0.1.0/flows/echo").await.text);
    assert!(flow.text.starts_with(
        r#"{"bundle_id":"fix","bundle_version":"0.1.0","bundle_ref":"fix@0.1.0","flow_id":"echo","workflow_id":"fix@0.1.0:echo","flow":{"id":"echo","#
    ));
    assert_eq!(world.get("/bundles/fix/flows/up:echo").await.status, 400);
    let delete = async |version: &str| {
        let path = format!("/api/gateway/bundles/up?bundle_version={version}");
        world.send(http::Request::delete(path), Body::empty()).await
    };
    let expected =
        r#"{"ok":true,"bundle_ref":"up@0.2.0","removed":1,"gateway_reloaded":true,"gateway_reload_error":null}"#;
    assert_eq!(delete("0.2.0").await.text, expected);
    assert_eq!(delete("9.9.9").await.detail(), (404, "Bundle 'up@9.9.9' not found".to_owned()));
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
    assert_eq!(world.post("/bundles/reload", json!({})).await.text, r#"{"ok":true,"bundle_ids":["fix"],"count":1}"#);
    assert_eq!(world.get("/bundles").await.json()["items"][0]["bundle_version"], "0.2.0");
    let removed = world.send(http::Request::delete("/api/gateway/bundles/fix"), Body::empty()).await;
    assert_eq!(removed.json()["gateway_reload_error"], Value::Null);
    assert_eq!(world.post("/bundles/reload", json!({})).await.text, r#"{"ok":true,"bundle_ids":[],"count":0}"#);
}
