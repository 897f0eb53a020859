//! `/v1/jobs`: a caller's own jobs, looked at, followed and taken back.

use super::accept::owner_of;
use super::board::Known;
use super::{Overflow, events, view};
use crate::Proxy;
use crate::error::ProxyError;
use crate::surface::caller::Caller;
use crate::surface::headers::{self, RequestId};
use crate::surface::{access, envelope, router};
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use domain::deferred::{DeferredStatus, is_id};
use domain::keys::KeyScope;
use http::HeaderMap;
use http::header::ORIGIN;
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// Jobs on a page, if not said otherwise, and at most.
const PAGE: usize = 20;
const MOST: usize = 100;
/// Somebody else changed the job each time.
const TRIES: usize = 8;

/// The routes.
pub(crate) fn routes() -> Router<Arc<Proxy>> {
    Router::new()
        .route("/v1/jobs", get(list).options(router::preflight).fallback(router::wrong_method))
        .route("/v1/jobs/{id}", get(one).delete(cancel).options(router::preflight).fallback(router::wrong_method))
        .route("/v1/jobs/{id}/cancel", post(cancel).options(router::preflight).fallback(router::wrong_method))
        .route("/v1/jobs/{id}/result", get(result).options(router::preflight).fallback(router::wrong_method))
        .route("/v1/jobs/{id}/events", get(follow).options(router::preflight).fallback(router::wrong_method))
}

/// A request without its body, which none of these has.
struct Head {
    method: http::Method,
    path: String,
    headers: HeaderMap,
    peer: Option<SocketAddr>,
}

impl Head {
    fn of(request: Request) -> Self {
        let peer = router::peer(&request);
        let (parts, _) = request.into_parts();
        Self { method: parts.method, path: parts.uri.path().to_owned(), headers: parts.headers, peer }
    }
}

/// Who asks, and what is asked about.
struct Asker {
    overflow: Arc<Overflow>,
    owner: String,
    keep: std::time::Duration,
    keep_alive: std::time::Duration,
}

impl Asker {
    fn of(proxy: &Proxy, head: &Head) -> Result<Self, ProxyError> {
        let setup = proxy.setup();
        let caller = Caller::of(&head.headers, head.peer, &setup, KeyScope::Inference)?;
        let overflow = proxy.overflow().cloned().ok_or(ProxyError::NoBroker)?;
        let config = &setup.config;
        Ok(Self {
            overflow,
            owner: owner_of(&caller).owner,
            keep: config.overflow.keep,
            keep_alive: config.timeouts.keep_alive,
        })
    }

    /// The caller's own job. That of another is as unknown as one that never was.
    async fn job(&self, id: &str) -> Result<Arc<Known>, ProxyError> {
        let known = if is_id(id) { self.overflow.find(id).await? } else { None };
        let own = known.filter(|known| known.job.caller.owner == self.owner);
        own.ok_or_else(|| ProxyError::UnknownJob { id: id.chars().take(64).collect() })
    }

    async fn followed(&self, id: &str) -> Result<watch::Receiver<Arc<Known>>, ProxyError> {
        self.job(id).await?;
        self.overflow.board.get(id).ok_or_else(|| ProxyError::UnknownJob { id: id.to_owned() })
    }
}

async fn one(State(proxy): State<Arc<Proxy>>, Path(id): Path<String>, request: Request) -> Response {
    let head = Head::of(request);
    answer(&proxy, &head, async {
        let asker = Asker::of(&proxy, &head)?;
        let known = asker.job(&id).await?;
        view::whole(&asker.overflow, &known.job).await.map(view::response)
    })
    .await
}

async fn result(State(proxy): State<Arc<Proxy>>, Path(id): Path<String>, request: Request) -> Response {
    let head = Head::of(request);
    answer(&proxy, &head, async {
        let asker = Asker::of(&proxy, &head)?;
        let known = asker.job(&id).await?;
        view::bare(&asker.overflow, &known.job).await
    })
    .await
}

async fn cancel(State(proxy): State<Arc<Proxy>>, Path(id): Path<String>, request: Request) -> Response {
    let head = Head::of(request);
    answer(&proxy, &head, async {
        let asker = Asker::of(&proxy, &head)?;
        let overflow = &asker.overflow;
        asker.job(&id).await?;
        for _ in 0..TRIES {
            // As it stands now: what is followed may be a moment old.
            let read = overflow.jobs.read(&id).await.map_err(super::away)?;
            let (job, sequence) = read.ok_or_else(|| ProxyError::UnknownJob { id: id.clone() })?;
            let known = overflow.board.apply(job, sequence);
            let job = &known.job;
            if job.status.is_end() && job.status != DeferredStatus::Cancelled {
                return Err(ProxyError::JobEnded { id: id.clone(), status: job.status.as_str() });
            }
            let cancelled = if job.status.is_end() {
                Some(known)
            } else {
                let ended = overflow.ended(job, DeferredStatus::Cancelled, None);
                overflow.write(ended, known.sequence, asker.keep).await?
            };
            if let Some(known) = cancelled {
                overflow.tell(&known, asker.keep).await?;
                return view::whole(overflow, &known.job).await.map(view::response);
            }
        }
        Err(ProxyError::JobsAway { why: "the job changed again and again".to_owned() })
    })
    .await
}

async fn follow(State(proxy): State<Arc<Proxy>>, Path(id): Path<String>, request: Request) -> Response {
    let head = Head::of(request);
    answer(&proxy, &head, async {
        let asker = Asker::of(&proxy, &head)?;
        let changes = asker.followed(&id).await?;
        Ok(events::stream_of(&asker.overflow, changes, last_seen(&head.headers)?, asker.keep_alive))
    })
    .await
}

/// The position that a client who comes back names.
fn last_seen(headers: &HeaderMap) -> Result<u64, ProxyError> {
    let Some(text) = headers.get("last-event-id").and_then(|value| value.to_str().ok()) else { return Ok(0) };
    text.trim()
        .parse()
        .map_err(|_| ProxyError::Unsupported("the header Last-Event-ID holds no id of an event".to_owned()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<String>,
    after: Option<String>,
    status: Option<String>,
}

async fn list(
    State(proxy): State<Arc<Proxy>>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let head = Head::of(request);
    answer(&proxy, &head, async {
        let asker = Asker::of(&proxy, &head)?;
        let Query(page) = page.map_err(|error| ProxyError::Unsupported(error.body_text()))?;
        let (limit, status) = (limit_of(page.limit.as_deref())?, status_of(page.status.as_deref())?);
        let all = asker.overflow.board.of(&asker.owner);
        let from = match &page.after {
            None => 0,
            Some(after) => all
                .iter()
                .position(|known| known.job.id == *after)
                .map(|at| at + 1)
                .ok_or_else(|| ProxyError::Unsupported("'after' names no job of yours".to_owned()))?,
        };
        let mut found = all[from..].iter().filter(|known| status.is_none_or(|status| known.job.status == status));
        let data: Vec<_> = found.by_ref().take(limit).map(|known| view::job(&asker.overflow, &known.job)).collect();
        let id = |job: Option<&serde_json::Value>| job.map(|job| job["id"].clone());
        let (first, last, more) = (id(data.first()), id(data.last()), found.next().is_some());
        let body = json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more});
        Ok(view::response(body.to_string()))
    })
    .await
}

fn limit_of(text: Option<&str>) -> Result<usize, ProxyError> {
    let Some(text) = text else { return Ok(PAGE) };
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| ProxyError::Unsupported(format!("'limit' must be a number from 1 to {MOST}")))
}

fn status_of(text: Option<&str>) -> Result<Option<DeferredStatus>, ProxyError> {
    let words = DeferredStatus::ALL.map(DeferredStatus::as_str).join(", ");
    let read = |text: &str| {
        DeferredStatus::parse(text).ok_or_else(|| ProxyError::Unsupported(format!("'status' must be one of: {words}")))
    };
    text.map(read).transpose()
}

/// The answer or its error, with what every response carries.
async fn answer(proxy: &Proxy, head: &Head, ask: impl Future<Output = Result<Response, ProxyError>>) -> Response {
    let request_id = RequestId::of(&head.headers);
    let answered = ask.await;
    let error = answered.as_ref().err().cloned();
    let mut response = answered.unwrap_or_else(|error| {
        envelope::response(&error, head.headers.contains_key(router::VERSION), request_id.text())
    });
    access::answered(request_id.text(), &head.method, &head.path, None, response.status(), error.as_ref());
    headers::finish(&mut response, &request_id);
    router::share(proxy, head.headers.get(ORIGIN).cloned(), &mut response);
    response
}
