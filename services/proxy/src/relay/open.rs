//! Finds a backend that answers: queue, choice, call, and another one as long as the client has seen nothing.

use super::body::Answer;
use super::client::{Call, read_whole};
use super::job::Job;
use super::live::Live;
use super::parting::Asked;
use super::watchdog::Late;
use super::whole::{self, Whole};
use crate::backends;
use crate::error::ProxyError;
use crate::metrics;
use crate::routing::{Backend, Entry, Full, Guard, Model, Replica, Route};
use crate::seats::{Served, best};
use ::metrics::{counter, histogram};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Response, StatusCode};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Replicas of one model that are asked.
const REPLICAS: usize = 3;
/// Models that are asked: the one that was named, and its fallbacks.
const MODELS: usize = 4;
/// Bytes of a backend's error.
const REFUSAL_BYTES: usize = 256 * 1024;

/// An answer that has begun.
pub(crate) enum Opened {
    /// Events, of which the first is there.
    Live(Box<Live>),
    /// A whole answer, checked.
    Whole(Whole),
    /// Bytes that are passed on as they come: sound, pictures.
    Raw(Box<Raw>),
}

/// Bytes on their way, and what they hold.
pub(crate) struct Raw {
    pub(crate) content_type: Option<http::HeaderValue>,
    pub(crate) length: Option<http::HeaderValue>,
    pub(crate) body: Answer,
    pub(crate) backend: Arc<Backend>,
    pub(crate) held: Vec<Guard>,
    pub(crate) job: Job,
}

/// Serves the request as far as the beginning of its answer. The account is closed if that fails.
pub(crate) async fn open(mut job: Job) -> Result<Opened, ProxyError> {
    let deadline = job.deadline;
    let total = job.timeouts.total;
    let (stage, watchdog) = (Arc::clone(&job.stage), Arc::clone(&job.watchdog));
    let found = {
        let mut finding = pin!(find(&mut job));
        match watchdog.within(deadline, &mut finding).await {
            Ok(found) => found,
            Err(late) => {
                give_up(stage.asked().as_deref()).await;
                Err(match late {
                    Late::Deadline => ProxyError::TotalTimeout { after: total },
                    Late::Stopping => ProxyError::Stopping,
                })
            }
        }
    };
    let found = found.inspect_err(|error| job.account.fail(error))?;
    Ok(match found {
        Found::Live(mut live) => {
            live.adopt(job);
            Opened::Live(live)
        }
        Found::Raw(answer, backend, held) => Opened::Raw(Box::new(raw(job, *answer, backend, held))),
        Found::Whole(answer, backend, held) => whole::finish(job, answer, &backend, held),
    })
}

/// Tells a backend that nobody waits for it any more, if it must be told. Its connection must stand meanwhile.
async fn give_up(asked: Option<&Asked>) {
    if let Some(asked) = asked {
        asked.abort().await;
    }
}

/// What an attempt brought, before it is tied to the job.
enum Found {
    Live(Box<Live>),
    Whole(whole::Read, Arc<Backend>, Vec<Guard>),
    Raw(Box<Response<Answer>>, Arc<Backend>, Vec<Guard>),
}

async fn find(job: &mut Job) -> Result<Found, ProxyError> {
    let named = Arc::clone(&job.model);
    let mut last = None;
    let fallbacks = named.fallbacks.iter().filter_map(|name| job.fleet.resolve(Some(name)).ok());
    let models: Vec<Arc<Model>> = std::iter::once(Arc::clone(&named)).chain(fallbacks).take(MODELS).collect();
    for model in models.iter().filter(|model| !(model.replicas.is_empty() && model.services.is_empty())) {
        if !Arc::ptr_eq(model, &named) {
            job.turn_to(model);
        }
        let tried = match best(&model.services) {
            Some(service) => try_service(job, model, service).await,
            None => try_model(job, model).await,
        };
        match tried {
            Err(error) if error.asks_fallback() && !job.account.has_left() => {
                // What the model's own backends said tells more than that a fallback was not there either.
                last = last.or(Some(error));
            }
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| ProxyError::Nowhere { model: named.name.clone() }))
}

async fn try_model(job: &mut Job, model: &Arc<Model>) -> Result<Found, ProxyError> {
    let place = admit(job, model).await?;
    // With one replica there is nothing to remember.
    let fingerprint = if model.replicas.len() > 1 { job.fingerprint() } else { None };
    let (mut tried, mut last) = (Vec::new(), None);
    while tried.len() < REPLICAS {
        let at = match model.choose(job.route, &tried, fingerprint, Instant::now()) {
            Ok(at) => at,
            Err(nobody) => return Err(last.unwrap_or(nobody)),
        };
        match ask(job, &model.replicas[at]).await {
            Ok(mut found) => {
                found.hold(place);
                return Ok(found);
            }
            Err(error) => {
                if !error.is_failover() || job.account.has_left() {
                    return Err(error);
                }
                let backend = model.replicas[at].backend.name().to_owned();
                counter!(metrics::FAILOVERS, "backend" => backend).increment(1);
                tried.push(at);
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or(ProxyError::NoReplica { model: model.name.clone(), retry: Duration::from_secs(5) }))
}

/// Has the service started if need be, and asks it.
async fn try_service(job: &mut Job, model: &Arc<Model>, service: &Arc<Served>) -> Result<Found, ProxyError> {
    let place = admit(job, model).await?;
    let begun = Instant::now();
    let (backend, seat) = service.seat(job.want(model)).await?;
    histogram!(metrics::START, "model" => model.name.clone()).record(begun.elapsed().as_secs_f64());
    let upstream_name = service.upstream_name();
    let mut found = ask(job, &Replica { backend, upstream_name, weight: 1 }).await?;
    found.hold(seat);
    found.hold(place);
    Ok(found)
}

/// Asks one replica, and remembers how that went.
async fn ask(job: &mut Job, replica: &Replica) -> Result<Found, ProxyError> {
    let backend = &replica.backend;
    if let Some(hold) = &job.hold {
        hold.announce().await?;
    }
    backend.breaker.begins(Instant::now());
    job.model.meters.overhead().record(job.account.begun().elapsed().as_secs_f64());
    let held = vec![backend.carry(&job.ticket)];
    let asked = job.asks(backend);
    match attempt(job, replica, held, asked.as_deref()).await {
        Ok(found) => {
            backend.breaker.succeeded();
            job.account.backend(backend);
            Ok(found)
        }
        Err(error) => {
            if let Some(asked) = &asked {
                asked.ends();
            }
            if error.blames_replica() {
                backend.breaker.failed(Instant::now());
            }
            if !error.is_failover() {
                job.account.backend(backend);
            }
            Err(error)
        }
    }
}

/// Waits for a place at the model's door.
async fn admit(job: &Job, model: &Arc<Model>) -> Result<Guard, ProxyError> {
    let refuse =
        |full: Full| ProxyError::QueueFull { model: model.name.clone(), waiting: full.waiting, retry: full.retry };
    let entry = model.admission.enter(&job.rank, Instant::now()).map_err(refuse)?;
    let begun = Instant::now();
    let place = match entry {
        Entry::Free(place) => place,
        Entry::Wait(waiting) => {
            let after = job.queue_patience();
            let late = |_| ProxyError::QueueTimeout { model: model.name.clone(), after };
            timeout(after, waiting.turn()).await.map_err(late)?.map_err(refuse)?
        }
    };
    model.meters.queue().record(begun.elapsed().as_secs_f64());
    Ok(job.ticket.guard(move || drop(place)))
}

/// Asks one replica. What it holds is let go if that fails.
async fn attempt(job: &Job, replica: &Replica, held: Vec<Guard>, asked: Option<&Asked>) -> Result<Found, ProxyError> {
    let backend = &replica.backend;
    if let Some(rest) = &backend.rest {
        rest.wake(backend, &job.upstream, job.timeouts.start).await?;
    }
    if job.route == Route::CountTokens {
        return count_tokens(job, replica, held, asked).await;
    }
    let route = if job.is_translated(backend) { Route::Chat } else { job.route };
    let uri = backend.route(route).clone();
    let call = Call { method: Method::POST, uri, headers: &job.headers, body: job.body_for(replica, asked)?, asked };
    if !job.is_stream() {
        let answer = job.upstream.send(backend, &call).await?;
        let answer = accept(backend, answer).await?;
        return read(job, answer, backend, held).await;
    }
    let first = async {
        let answer = job.upstream.send(backend, &call).await?;
        let answer = accept(backend, answer).await?;
        if has_type(answer.headers(), "json") {
            let text = read_whole(backend, answer.into_body(), job.bounds.answer_bytes).await?;
            return Live::of_whole(job, Arc::clone(backend), held, &text).map(|live| Found::Live(Box::new(live)));
        }
        let mut live = Live::new(job, Arc::clone(backend), held, answer.into_body());
        live.first().await?;
        Ok(Found::Live(Box::new(live)))
    };
    let after = job.timeouts.first_token;
    let mut first = pin!(first);
    match timeout(after, &mut first).await {
        Ok(found) => found,
        Err(_) => {
            give_up(asked).await;
            Err(ProxyError::FirstTokenTimeout { backend: backend.name().to_owned(), after })
        }
    }
}

/// Asks a backend that has the route, and counts here where it has not.
async fn count_tokens(
    job: &Job,
    replica: &Replica,
    held: Vec<Guard>,
    asked: Option<&Asked>,
) -> Result<Found, ProxyError> {
    let backend = &replica.backend;
    let text = match native_count(job, replica, asked).await {
        Err(ProxyError::Upstream(refusal)) if matches!(refusal.status.as_u16(), 404 | 405 | 501) => {
            crate::anthropic::count(job, replica).await?
        }
        other => other?,
    };
    let json = http::HeaderValue::from_static("application/json");
    Ok(Found::Whole(whole::Read::plain(text).with_type(Some(json)), Arc::clone(backend), held))
}

async fn native_count(job: &Job, replica: &Replica, asked: Option<&Asked>) -> Result<bytes::Bytes, ProxyError> {
    let backend = &replica.backend;
    if job.is_translated(backend) {
        return crate::anthropic::count(job, replica).await;
    }
    let uri = backend.route(job.route).clone();
    let body = job.body_for(replica, asked)?;
    let call = Call { method: Method::POST, uri, headers: &job.headers, body, asked };
    let answer = accept(backend, job.upstream.send(backend, &call).await?).await?;
    let text = read_whole(backend, answer.into_body(), REFUSAL_BYTES).await?;
    // Some servers answer 200 to what they do not know.
    match crate::json::find(&text, ["input_tokens"]) {
        Ok([Some(_)]) => Ok(text),
        Ok([None]) | Err(_) => crate::anthropic::count(job, replica).await,
    }
}

async fn read(
    job: &Job,
    answer: Response<Answer>,
    backend: &Arc<Backend>,
    held: Vec<Guard>,
) -> Result<Found, ProxyError> {
    if !has_type(answer.headers(), "json") && !has_type(answer.headers(), "text/plain") {
        return Ok(Found::Raw(Box::new(answer), Arc::clone(backend), held));
    }
    let content_type = answer.headers().get(CONTENT_TYPE).cloned();
    let is_json = has_type(answer.headers(), "json");
    let text = read_whole(backend, answer.into_body(), job.bounds.answer_bytes).await?;
    let read = if is_json { whole::read(job, backend, text)? } else { whole::Read::plain(text) };
    Ok(Found::Whole(read.with_type(content_type), Arc::clone(backend), held))
}

/// The answer, unless it is an error.
async fn accept(backend: &Backend, answer: Response<Answer>) -> Result<Response<Answer>, ProxyError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let retry = retry_of(answer.headers());
    let body = read_whole(backend, answer.into_body(), REFUSAL_BYTES).await.unwrap_or_default();
    let status = if status.is_client_error() || status.is_server_error() { status } else { StatusCode::BAD_GATEWAY };
    let status = backends::as_told(status);
    Err(ProxyError::Upstream(Box::new(backends::read_refusal(backend.name(), status, &body, retry))))
}

fn retry_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok()
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
}

fn raw(job: Job, answer: Response<Answer>, backend: Arc<Backend>, held: Vec<Guard>) -> Raw {
    let (head, body) = answer.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).cloned();
    let length = head.headers.get(http::header::CONTENT_LENGTH).cloned();
    Raw { content_type, length, body, backend, held, job }
}

impl Found {
    fn hold(&mut self, guard: Guard) {
        match self {
            Self::Live(live) => live.hold(guard),
            Self::Whole(_, _, held) | Self::Raw(_, _, held) => held.push(guard),
        }
    }
}
