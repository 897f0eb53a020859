//! Bundles: listed, read, installed, deprecated, removed.

use crate::flows::{fix, gateway, keys, started};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Flow, pack};

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["bundle_ref"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_bundle_is_listed_and_read_with_every_key_of_the_contract() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let list = client.get("/bundles").await.good();
    assert_eq!(keys(&list), ["items", "default_bundle_id"]);
    let item = list["items"].as_array().unwrap().iter().find(|item| item["bundle_id"] == "fix").unwrap();
    assert_eq!(
        keys(item),
        [
            "bundle_id",
            "bundle_version",
            "bundle_ref",
            "registry_scope",
            "version_channel",
            "is_draft",
            "is_published",
            "latest_published_version",
            "latest_any_version",
            "created_at",
            "metadata",
            "default_entrypoint",
            "entrypoints",
            "actions",
        ]
    );
    assert_eq!(
        keys(&item["entrypoints"][0]),
        [
            "flow_id",
            "name",
            "description",
            "interfaces",
            "workflow_id",
            "deprecated",
            "deprecated_at",
            "deprecated_reason"
        ]
    );
    let bundle = client.get("/bundles/fix").await.good();
    assert_eq!(bundle["flows"].as_array().unwrap().len(), 6);
    let echo = &bundle["entrypoints"][0];
    assert_eq!(echo["inputs"], json!([{"id": "prompt", "label": "prompt", "type": "string"}]));
    assert_eq!(echo["node_index"]["end"], json!({"type": "on_flow_end", "label": "end"}));
    let flow = client.get("/bundles/fix/flows/echo").await.good();
    assert_eq!(keys(&flow), ["bundle_id", "bundle_version", "bundle_ref", "flow_id", "workflow_id", "flow"]);
    assert_eq!(client.get("/workflows/fix@0.1.0:echo/flow").await.good(), flow);
    let schema = client.get("/bundles/fix/flows/echo/input_schema").await.good();
    assert_eq!(schema["inputs"][0]["schema"], json!({"type": "string", "x-abstract-type": "string"}));
    assert_eq!(schema["input_data_schema"]["additionalProperties"], true);
    for (path, detail) in [
        ("/bundles/nope", "Bundle 'nope' not found"),
        ("/bundles/fix/flows/nope", "Flow 'nope' not found in bundle 'fix@0.1.0'"),
    ] {
        assert_eq!(client.get(path).await.refusal(), (404, detail.to_owned()));
    }
    assert_eq!(client.get("/workflows/nope/flow").await.status, 404);
}

#[tokio::test]
async fn a_bundle_is_installed_once_deprecated_and_removed() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let up = pack("up", "0.1.0", &[Flow::new("main", &[]).end(&[]).path(&["start", "end"])]);
    let installed = client.upload(up.clone()).await.good();
    assert_eq!(
        keys(&installed),
        [
            "ok",
            "bundle_id",
            "bundle_version",
            "bundle_ref",
            "sha256",
            "default_entrypoint",
            "entrypoints",
            "gateway_reloaded",
            "gateway_reload_error",
        ]
    );
    assert_eq!(client.upload(up.clone()).await.refusal(), (400, "Bundle already installed: up@0.1.0.flow".to_owned()));
    client.upload(fix("0.2.0")).await.good();
    let all = client.get("/bundles?all_versions=true").await.good();
    assert!(["fix@0.1.0", "fix@0.2.0", "up@0.1.0"].iter().all(|id| ids(&all).contains(id)), "{all}");
    let latest = client.get("/bundles").await.good();
    assert!(ids(&latest).contains(&"fix@0.2.0") && !ids(&latest).contains(&"fix@0.1.0"));

    let deprecated = client.post("/bundles/up/deprecate", &json!({"reason": "old"})).await.good();
    assert_eq!(keys(&deprecated), ["ok", "bundle_id", "flow_id", "deprecated_at", "reason"]);
    assert_eq!(deprecated["flow_id"], "*");
    assert!(!ids(&client.get("/bundles").await.good()).contains(&"up@0.1.0"));
    let refused = client.post("/runs/start", &json!({"bundle_id": "up"})).await;
    assert_eq!(refused.refusal(), (409, "Workflow 'up:main' is deprecated: old".to_owned()));
    let back = client.post("/bundles/up/undeprecate", &json!({})).await.good();
    assert_eq!(back, json!({"ok": true, "bundle_id": "up", "flow_id": "*", "removed": true}));
    client.start(&json!({"bundle_id": "up"})).await;

    let removed = client.delete("/bundles/fix?bundle_version=0.1.0").await.good();
    assert_eq!((&removed["bundle_ref"], &removed["removed"]), (&json!("fix@0.1.0"), &json!(1)));
    assert_eq!(client.delete("/bundles/nope").await.refusal(), (404, "Bundle 'nope' not found".to_owned()));
    let reloaded = client.post("/bundles/reload", &json!({})).await.good();
    assert_eq!(
        (&reloaded["ok"], reloaded["bundle_ids"].as_array().unwrap().len()),
        (&json!(true), usize::try_from(reloaded["count"].as_u64().unwrap()).unwrap())
    );
}

#[tokio::test]
async fn what_is_no_bundle_is_refused_and_changes_nothing() {
    let gateway = started(gateway()).await;
    let client = &gateway.client;
    let before = client.get("/bundles?all_versions=true").await.text;
    let mut cut = fix("9.9.9");
    cut.truncate(cut.len() / 2);
    let wild = pack("../wild", "../../1", &[Flow::new("main", &[]).end(&[]).path(&["start", "end"])]);
    for bytes in [b"no zip".to_vec(), Vec::new(), cut] {
        let refused = client.upload(bytes).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    }
    let sanitised = client.upload(wild).await;
    assert!(sanitised.status == 200 || sanitised.status == 400, "{}", sanitised.text);
    if sanitised.status == 400 {
        assert_eq!(client.get("/bundles?all_versions=true").await.text, before);
    }
    let form = reqwest::multipart::Form::new().text("overwrite", "false");
    let nothing = Client::send(client.request(Method::POST, "/bundles/upload").multipart(form)).await.unwrap();
    let issue =
        json!({"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": null}]});
    assert_eq!((nothing.status, nothing.json()), (422, issue));
}
