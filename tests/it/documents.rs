//! Health, identity, the documents of the surface, and what every answer carries.

use crate::flows::{gateway, keys};
use reqwest::Method;
use serde_json::json;
use testkit::Client;

#[tokio::test]
async fn health_ping_and_me_answer_in_the_words_of_the_contract() {
    let gateway = gateway().start().await;
    let (client, anyone) = (&gateway.client, gateway.client.with_token(None));
    assert_eq!(anyone.get("//api/health").await.text, r#"{"status":"healthy","service":"abstractgateway"}"#);
    let ping = client.get("/ping").await;
    assert_eq!(keys(&ping.json()), ["ok", "status", "service", "time"]);
    assert_eq!(ping.header("x-request-id").len(), 32);
    let request = client.request(Method::GET, "/ping").header("x-request-id", "req-42");
    assert_eq!(Client::send(request).await.unwrap().header("x-request-id"), "req-42");
    let me = client.get("/me").await.good();
    assert_eq!(keys(&me), ["ok", "principal", "auth", "routing"]);
    assert_eq!(
        keys(&me["principal"]),
        ["user_id", "tenant_id", "roles", "scopes", "token_fingerprint", "runtime_id", "source", "admin"]
    );
    assert_eq!(me["auth"], json!({"mode": "legacy-token", "user_auth_enabled": false}));
    assert_eq!(client.get("/nope").await.refusal(), (404, "Not Found".to_owned()));
    let put = Client::send(client.request(Method::PUT, "/runs/start").json(&json!({}))).await.unwrap();
    assert_eq!(put.refusal(), (405, "Method Not Allowed".to_owned()));
    let nowhere = client.get("//v1/nope").await;
    assert_eq!((nowhere.status, &nowhere.json()["error"]["code"]), (404, &json!("not_found")));
}

/// What anybody may ask.
const OPEN: [&str; 2] = ["/api/health", "/health"];

#[tokio::test]
async fn the_documents_are_whole_and_load_nothing_from_elsewhere() {
    let gateway = gateway().start().await;
    let anyone = gateway.client.with_token(None);
    let openapi = anyone.get("//openapi.json").await.good();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    let scheme = &openapi["components"]["securitySchemes"]["gatewayBearerAuth"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    let mut operations = 0;
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            let by = |scheme: &str| {
                let all = operation["security"].as_array();
                all.is_some_and(|all| all.iter().any(|one| one.get(scheme).is_some()))
            };
            assert_eq!(by("modelKey"), takes_a_model_key(path), "{method} {path}");
            let open = OPEN.contains(&path.as_str()) || takes_a_model_key(path);
            assert_eq!(by("gatewayBearerAuth"), !open, "{method} {path}");
        }
    }
    for path in ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/jobs/{id}/events", "/v1/usage"] {
        assert!(openapi["paths"][path].is_object(), "{path} is not described");
    }
    assert!(operations >= 85, "only {operations} operations are described");
    for path in ["//docs", "//redoc"] {
        let page = anyone.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"));
        let elsewhere = ["http://", "https://", "src=\"//", "href=\"//", "@import"];
        let found: Vec<_> = elsewhere.iter().filter(|word| page.text.contains(**word)).collect();
        assert!(found.is_empty(), "{path} has {found:?}");
    }
}

/// The paths of model traffic, which keys of their own open.
fn takes_a_model_key(path: &str) -> bool {
    path.starts_with("/v1/") && path != "/v1/usage"
}

/// Streams of everything that happens, which nothing ends.
const ENDLESS: [&str; 2] = ["/queue/events", "/gpu/events"];

#[tokio::test]
async fn every_described_operation_is_there_and_asks_for_a_token() {
    let gateway = gateway().env("GANTRY_LOCKOUT_AFTER", "100000").env("API_KEYS", "a-model-key").start().await;
    let model_client = gateway.client.with_token(Some("a-model-key"));
    let anyone = gateway.client.with_token(None);
    let openapi = anyone.get("//openapi.json").await.good();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        let address = format!("/{}", path.replace(['{', '}'], "x"));
        for method in item.as_object().unwrap().keys() {
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let refused = Client::send(anyone.request(verb.clone(), &address)).await.unwrap();
            let open = OPEN.contains(&path.as_str());
            assert_eq!(refused.status, if open { 200 } else { 401 }, "{method} {path}: {}", refused.text);
            if ENDLESS.contains(&path.as_str()) {
                continue;
            }
            let client = if takes_a_model_key(path) { &model_client } else { &gateway.client };
            let known = Client::send(client.request(verb, &address)).await.unwrap();
            assert!(known.status != 405 && known.json()["detail"] != "Not Found", "{method} {path}: {}", known.text);
            assert_ne!(known.status, 401, "{method} {path}: {}", known.text);
        }
    }
}
