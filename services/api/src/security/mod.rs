//! The security layer of every path below `/api/gateway` and of the GPU control plane, in the fixed order that clients depend on.
//!
//! Security switched off; origin; lockout; `OPTIONS`; authentication; CSRF; admin-only families; body size; concurrency;
//! and the audit of every write, refused ones included. The permissive CORS layer lies outside of it, and a request id
//! is on every answer.

mod answer;
mod audit;
mod audit_file;
mod cors;
mod families;
mod guard;
mod lockout;
mod origins;
mod pools;
mod size;

#[cfg(test)]
mod tests;

pub use answer::Refusal;
pub use audit::{AuditLog, Entry};
pub use audit_file::{Tail, audit_path, read_tail, write_entries};
pub use cors::cors;
pub use families::admin_class;
pub use guard::{Guard, Verdict, is_write};
pub use lockout::{LockoutPolicy, Lockouts};
pub use origins::Origins;
pub use pools::Pools;
pub use size::document_limit;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tracing::Instrument;

/// What the layer guards.
pub const PREFIX: &str = "/api/gateway";
const REQUEST_ID: &str = "x-request-id";

/// The layer's settings and memory.
#[derive(Debug)]
pub struct Security {
    guard: Guard,
    pools: Pools,
    audit: AuditLog,
}

/// The id of the current request, for log lines and messages.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl Security {
    /// The layer over a guard and its log.
    pub fn new(guard: Guard, audit: AuditLog) -> Self {
        let pools = Pools::new(guard.config.max_concurrency, guard.config.max_sse);
        Self { guard, pools, audit }
    }
}

/// The middleware itself.
pub async fn secure(State(security): State<Arc<Security>>, mut request: Request, next: Next) -> Response {
    if !guarded(request.uri().path()) {
        return next.run(request).await;
    }
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = span(&request, &id);
    let mut response = audited(&security, request, &id, next).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn span(request: &Request, id: &str) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
    let span = telemetry::request_span(id, request.method().as_str(), route);
    let headers = request.headers();
    telemetry::continue_from(&span, |name| headers.get(name).and_then(|value| value.to_str().ok()));
    span
}

async fn audited(security: &Security, request: Request, id: &str, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.to_canonical());
    let client = security.guard.client(request.headers(), peer);
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let draft = if is_write(&parts.method) { security.audit.begin(&parts, id, &client.to_string()) } else { None };
    let mut verdict = Verdict::default();
    let decided = security.guard.decide(&parts, client, peer, &mut verdict);
    let response = match decided {
        Ok(()) => pass(security, Request::from_parts(parts, body), &verdict, next).await,
        Err(refusal) if families::is_control(&path) => refusal.of_control().response(),
        Err(refusal) => refusal.response(),
    };
    security.audit.end(draft, &verdict, response.status()).await;
    response
}

async fn pass(security: &Security, mut request: Request, verdict: &Verdict, next: Next) -> Response {
    if let Some(principal) = verdict.principal.clone() {
        request.extensions_mut().insert(principal);
    }
    let config = &security.guard.config;
    if !config.enabled {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    if is_write(request.method()) {
        request = match size::measured(request, size::limit(config, &path), config.max_body_bytes).await {
            Ok(request) => request,
            Err(refusal) => return refusal.response(),
        };
    }
    match security.pools.enter(&path).await {
        Some(place) => place.until_sent(next.run(request).await),
        None => Refusal::concurrency().response(),
    }
}

/// Whether a path is below the layer: everything of `/api/gateway`, and the GPU control plane but for its `/health`.
pub fn guarded(path: &str) -> bool {
    path.starts_with(PREFIX) || families::is_control(path)
}

/// The client's id if it can be sent back, else a fresh one of 32 hexadecimal characters.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::trim);
    match given {
        Some(id) if !id.is_empty() && id.len() <= 200 => id.to_owned(),
        Some(_) | None => uuid::Uuid::new_v4().simple().to_string(),
    }
}
