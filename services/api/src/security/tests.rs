//! Laws of the security layer, against the router that serves.

use super::*;
use crate::auth::Credentials;
use crate::config::{ApiConfig, SecurityConfig};
use crate::principal::Principal;
use crate::serve::{fallbacks, layers};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::StatusCode;
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;

const TOKEN: &str = "a-token-for-tests-1";

struct Surface {
    router: Router,
    entries: tokio::sync::mpsc::Receiver<Entry>,
    _directory: tempfile::TempDir,
}

fn surface(change: impl FnOnce(&mut SecurityConfig)) -> Surface {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ApiConfig::below(directory.path());
    change(&mut config.security);
    let tokens = [SecretString::from(TOKEN)];
    let guard = Guard::new(config.security.clone(), Credentials::new(&tokens));
    let (audit, entries) = AuditLog::new(&config.audit);
    let routes = fallbacks(
        Router::new()
            .route("/api/health", get(|| async { axum::Json(json!({"status": "healthy"})) }))
            .route("/api/gateway/ping", get(|| async { "pong" }))
            .route("/api/gateway/me", get(me))
            .route("/api/gateway/audit/tail", get(|| async { "tail" }))
            .route("/api/gateway/held/{id}/ledger/stream", get(endless)),
    );
    Surface {
        router: layers(routes, Arc::new(Security::new(guard, audit))),
        entries: entries.unwrap(),
        _directory: directory,
    }
}

/// What the layer found out about the caller.
async fn me(axum::Extension(principal): axum::Extension<Principal>) -> axum::Json<Value> {
    axum::Json(json!({"principal": principal}))
}

/// A stream that never ends, to hold a place with.
async fn endless() -> Body {
    Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Surface {
    async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        let request = http::Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request, Body::empty()).await
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_refused_and_one_with_it_passes() {
    let surface = surface(|_| ());
    let refused = surface.send(http::Request::get("/api/gateway/me"), Body::empty()).await;
    assert_eq!((refused.status, refused.body), (StatusCode::UNAUTHORIZED, json!({"detail": "Unauthorized"})));
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    assert_eq!(refused.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(refused.headers["x-request-id"].len(), 32);
    let passed = surface.get("/api/gateway/me", TOKEN).await;
    assert_eq!(passed.status, StatusCode::OK);
    assert_eq!(passed.body["principal"]["source"], "legacy-token");
    assert_eq!(passed.body["principal"]["token_fingerprint"].as_str().map(str::len), Some(12));
    let health = surface.send(http::Request::get("/api/health"), Body::empty()).await;
    assert_eq!(health.body, json!({"status": "healthy"}));
}

#[tokio::test]
async fn the_origin_is_checked_before_the_token_and_cors_lies_outside() {
    let surface = surface(|_| ());
    let request = http::Request::get("/api/gateway/me").header("origin", "https://evil.example");
    let refused = surface.send(request, Body::empty()).await;
    assert_eq!(
        (refused.status, refused.body),
        (StatusCode::FORBIDDEN, json!({"detail": "Forbidden (origin not allowed)"}))
    );
    assert_eq!(refused.headers["access-control-allow-origin"], "https://evil.example");
    assert_eq!(refused.headers["access-control-allow-credentials"], "true");
    let preflight = http::Request::options("/api/gateway/runs/start")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization");
    let answered = surface.send(preflight, Body::empty()).await;
    assert_eq!((answered.status, answered.body), (StatusCode::OK, Value::from("OK")));
    assert_eq!(answered.headers["access-control-max-age"], "600");
    assert_eq!(answered.headers["access-control-allow-headers"], "authorization");
}

#[tokio::test]
async fn the_fifth_wrong_token_locks_out_even_the_right_one() {
    let surface = surface(|config| config.lockout.base = std::time::Duration::from_secs(30));
    for _ in 0..4 {
        assert_eq!(surface.get("/api/gateway/me", "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let locked = surface.get("/api/gateway/me", "wrong").await;
    assert_eq!(
        (locked.status, locked.body),
        (StatusCode::TOO_MANY_REQUESTS, json!({"detail": "Too Many Requests (auth lockout)"}))
    );
    assert_eq!(locked.headers["retry-after"], "30");
    assert_eq!(surface.get("/api/gateway/me", TOKEN).await.status, StatusCode::TOO_MANY_REQUESTS);
    let health = surface.send(http::Request::get("/api/health"), Body::empty()).await;
    assert_eq!(health.status, StatusCode::OK);
}

#[tokio::test]
async fn a_right_token_clears_the_count_of_wrong_ones() {
    let surface = surface(|_| ());
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(surface.get("/api/gateway/me", "wrong").await.status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(surface.get("/api/gateway/me", TOKEN).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn readers_under_the_development_switch_are_no_admins_and_cannot_write() {
    let surface = surface(|config| config.dev_read_no_auth = true);
    let me = surface.send(http::Request::get("/api/gateway/me"), Body::empty()).await;
    assert_eq!(me.body["principal"]["roles"], json!(["readonly"]));
    let admin = surface.send(http::Request::get("/api/gateway/audit/tail"), Body::empty()).await;
    assert_eq!(
        (admin.status, admin.body),
        (
            StatusCode::FORBIDDEN,
            json!({"detail": "Admin principal required", "reason_code": "admin_required", "required_role": "admin",
                "resource_class": "audit", "action": "read"})
        )
    );
    let write = surface.send(http::Request::post("/api/gateway/commands"), Body::from("{}")).await;
    assert_eq!(write.status, StatusCode::UNAUTHORIZED);
    let mut remote = http::Request::get("/api/gateway/me").body(Body::empty()).unwrap();
    remote.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 9], 1))));
    let refused = surface.router.clone().oneshot(remote).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_or_not_it_says_its_length() {
    let surface = surface(|config| config.max_body_bytes = 100);
    let request = || http::Request::post("/api/gateway/nope").header("authorization", format!("Bearer {TOKEN}"));
    let declared = surface.send(request().header("content-length", "260008"), Body::from(vec![b' '; 8])).await;
    assert_eq!(declared.body, json!({"detail": "Payload Too Large (260008 bytes > 100 bytes)"}));
    let chunks =
        futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 10]))));
    let counted = surface.send(request(), Body::from_stream(chunks)).await;
    assert_eq!(
        (counted.status, counted.body),
        (StatusCode::PAYLOAD_TOO_LARGE, json!({"detail": "Payload Too Large (110 bytes > 100 bytes)"}))
    );
    let small = surface.send(request(), Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>("x")]))).await;
    assert_eq!((small.status, small.body), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})));
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_client_is_gone() {
    let surface = surface(|config| config.max_sse = 1);
    let open = || {
        let request =
            http::Request::get("/api/gateway/held/r/ledger/stream").header("authorization", format!("Bearer {TOKEN}"));
        surface.router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let first = open().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let second = open().await.unwrap();
    assert_eq!(
        (second.status(), second.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::TOO_MANY_REQUESTS, "1")
    );
    assert_eq!(
        surface.get("/api/gateway/ping", TOKEN).await.status,
        StatusCode::OK,
        "other requests have places of their own"
    );
    drop(first);
    assert_eq!(open().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn every_write_is_audited_refused_ones_included_and_no_read_is() {
    let mut surface = surface(|_| ());
    surface.get("/api/gateway/ping", TOKEN).await;
    surface
        .send(http::Request::post("/api/gateway/commands?secret=1").header("x-client-id", "cli"), Body::empty())
        .await;
    let request = http::Request::put("/api/gateway/ping").header("authorization", format!("Bearer {TOKEN}"));
    surface.send(request.header("x-request-id", "req-42"), Body::from("12345")).await;
    let mut lines = Vec::new();
    while let Ok(entry) = surface.entries.try_recv() {
        lines.push(serde_json::to_value(entry).unwrap());
    }
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["status"], &lines[0]["query"]), (&json!(401), &json!("secret=<redacted>")));
    assert_eq!(lines[0]["headers"], json!({"x-client-id": "cli"}));
    assert_eq!((&lines[1]["status"], &lines[1]["request_id"]), (&json!(405), &json!("req-42")));
    assert_eq!(lines[1]["principal_user_id"], "local-admin");
    let keys: Vec<&String> = lines[1].as_object().unwrap().keys().collect();
    assert_eq!(
        keys[..9],
        ["ts", "request_id", "ip", "method", "path", "query", "status", "duration_ms", "auth_required"]
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_with_a_detail() {
    let surface = surface(|config| config.enabled = false);
    let missing = surface.get("/api/gateway/nope", "").await;
    assert_eq!((missing.status, missing.body), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})));
    let wrong =
        surface.send(http::Request::put("/api/gateway/ping").header("x-request-id", "mine"), Body::empty()).await;
    assert_eq!((wrong.status, wrong.body), (StatusCode::METHOD_NOT_ALLOWED, json!({"detail": "Method Not Allowed"})));
    assert_eq!(wrong.headers["x-request-id"], "mine");
    let me = surface.send(http::Request::get("/api/gateway/me"), Body::empty()).await;
    assert_eq!(me.body["principal"]["admin"], true);
}
