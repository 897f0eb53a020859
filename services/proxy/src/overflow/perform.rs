//! Performs jobs through the same relay as every request: key, limits, queue, seat, replica; and keeps what comes of it.

use super::board::Known;
use super::choose::{Pause, Pauses, choose};
use super::hold::Hold;
use super::{Overflow, is_deferrable, now, request};
use crate::Proxy;
use crate::error::ProxyError;
use crate::form::Form;
use crate::json::Peek;
use crate::keys::Key;
use crate::metrics;
use crate::proxy::Setup;
use crate::relay::account::{Account, Who};
use crate::relay::answer::answer;
use crate::relay::job::Job;
use crate::routing::{Guard, Model, Rank, Route, Ticket};
use crate::surface::envelope;
use crate::trace;
use axum::response::Response;
use bytes::Bytes;
use domain::deferred::{DeferredJob, DeferredResponse, DeferredStatus};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until, timeout};

/// After an attempt that broke off, and where nothing better is known.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two tries to stand in a line that is full again and again.
const LEAST: Duration = Duration::from_millis(100);
/// Whoever met a full line is told when there is room; this is for the case that its door was replaced meanwhile.
const FULL: Duration = Duration::from_secs(60);
/// A service that cannot be started now may be able to when a host is back.
const HOPELESS: Duration = Duration::from_secs(30);
/// Tries to write an end while the broker is away; each takes some seconds.
const TRIES: u32 = 60;

/// Takes jobs and performs them, for as long as it is polled.
pub(crate) async fn work(proxy: &Proxy, overflow: &Arc<Overflow>) {
    let mut changes = overflow.board.changes();
    let mut pauses = Pauses::default();
    let (mut under_way, mut doors) = (FuturesUnordered::new(), FuturesUnordered::new());
    loop {
        let setup = proxy.setup();
        for (known, model) in choose(overflow, &setup, &pauses, now()) {
            under_way.push(Box::pin(one(proxy, overflow, known, model)));
        }
        let due = pauses.next();
        tokio::select! {
            _ = changes.changed() => {}
            Some(pause) = under_way.next() => match pause {
                Paused::No => {}
                Paused::For(what, lasts) => pauses.add(what, lasts),
                Paused::UntilRoom(model) => {
                    pauses.add(Pause::Model(model.name.clone()), FULL);
                    doors.push(room_at(model));
                }
            },
            Some(open) = doors.next() => pauses.end(&Pause::Model(open)),
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
        }
    }
}

/// What an attempt says about when others may be made.
enum Paused {
    No,
    For(Pause, Duration),
    /// The line was full.
    UntilRoom(Arc<Model>),
}

/// Waits until there is room at the model's door; its name. Others may be faster, so it is tried again only so often.
async fn room_at(model: Arc<Model>) -> String {
    sleep(LEAST).await;
    let _ = timeout(FULL, model.admission.room()).await;
    model.name.clone()
}

/// Out of the hand again, whatever happens.
struct InHand<'a>(&'a Overflow, &'a str);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.in_hand().remove(self.1);
    }
}

async fn one(proxy: &Proxy, overflow: &Arc<Overflow>, known: Arc<Known>, model: Arc<Model>) -> Paused {
    let _in_hand = InHand(overflow, &known.job.id);
    let setup = proxy.setup();
    let ticket = proxy.permits().ticket();
    let (key, held) = match admit(&setup, &known.job, &ticket).await {
        Ok(admitted) => admitted,
        Err(ProxyError::RateLimited { retry, .. }) => {
            let owner = known.job.caller.owner.clone();
            return Paused::For(Pause::Caller(owner), retry.max(Duration::from_millis(50)));
        }
        Err(error) => {
            let hold = Hold::new(overflow, &known, setup.config.overflow.keep);
            return settle(overflow, &setup, &hold, Err(error), &model).await;
        }
    };
    let keep = setup.config.overflow.keep;
    let taken = match overflow.write(known.job.taken_by(&overflow.name), known.sequence, keep).await {
        Ok(Some(taken)) => taken,
        Ok(None) => return Paused::No,
        Err(_) => return Paused::For(Pause::Model(model.name.clone()), AGAIN),
    };
    if taken.job.lost > known.job.lost {
        metrics::job("taken_over");
    }
    let hold = Hold::new(overflow, &taken, keep);
    let came = tokio::select! {
        came = ask(proxy, &setup, overflow, &hold, Arc::clone(&model), (key, held, ticket)) => came,
        () = hold.lost() => return Paused::No,
    };
    settle(overflow, &setup, &hold, came, &model).await
}

/// Holds the job to the limits of its key. As a request it was counted when it was accepted.
async fn admit(
    setup: &Setup,
    job: &DeferredJob,
    ticket: &Ticket,
) -> Result<(Option<Arc<Key>>, Vec<Guard>), ProxyError> {
    let mut held = Vec::new();
    let key = match &job.caller.key_id {
        Some(id) => Some(setup.keys.of_id(id).ok_or_else(|| unknown_key(job))?),
        None => None,
    };
    if let Some(key) = &key {
        held.push(key.admit_again(ticket).await?);
    }
    Ok((key, held))
}

/// A key of another proxy's settings is known there alone; one of all proxies was revoked, unless it is too new to have
/// come here.
fn unknown_key(job: &DeferredJob) -> ProxyError {
    let age = now().as_micros().saturating_sub(job.created_at.as_micros());
    let is_foreign = job.caller.key_id.as_ref().is_some_and(|id| id.starts_with("file:"));
    if is_foreign || age < 10_000_000 {
        let what = "the key of the job is not known to this proxy".to_owned();
        return ProxyError::RateLimited { what, retry: if is_foreign { HOPELESS } else { AGAIN } };
    }
    ProxyError::WrongKey
}

/// An answer as a client that waited would have seen it.
struct Answer {
    status: u16,
    content_type: String,
    body: Bytes,
}

async fn ask(
    proxy: &Proxy,
    setup: &Setup,
    overflow: &Overflow,
    hold: &Arc<Hold>,
    model: Arc<Model>,
    (key, held, ticket): (Option<Arc<Key>>, Vec<Guard>, Ticket),
) -> Result<Answer, ProxyError> {
    let job = hold.last().await.job.clone();
    let gone = || ProxyError::BadBody("its request is not stored any more".to_owned());
    let stored = overflow.jobs.body(&job.id, &job.request).await.map_err(super::away)?.ok_or_else(gone)?;
    let (headers, body) = request::read(&stored)?;
    let route = Route::of(&job.path).ok_or_else(|| ProxyError::UnknownRoute { path: job.path.clone() })?;
    model.check(route)?;
    if let Some(key) = key.as_ref().filter(|key| !key.may_use(&model.name)) {
        let named = job.model.as_deref().unwrap_or(&model.name);
        if !key.may_use(named) {
            let what = format!("use the model '{named}'");
            return Err(ProxyError::Forbidden { key: key.config.name.clone(), what });
        }
    }
    let bad = |error: crate::json::Malformed| ProxyError::BadBody(error.to_string());
    let form = Form::read(&headers, &body).transpose()?;
    let peek = if form.is_some() { None } else { Some(Peek::of(&body).map_err(bad)?) };
    let caller = &job.caller;
    let who = Who {
        proxy: proxy.shared_name(),
        key: caller.key.as_deref().map(Arc::from),
        key_id: caller.key_id.as_deref().map(Arc::from),
        tenant: caller.tenant.as_str().into(),
    };
    let span = trace::begin(&headers, &job.request_id, route.operation());
    let mut account = Account::open(proxy.sink(), job.request_id.as_str().into(), who, route, span);
    account.model(&model);
    if let Some(key) = key {
        account.charge_to(move |tokens| key.charge(tokens));
    }
    let deadline = tokio::time::Instant::now() + model.timeouts.total;
    let request = Job {
        route,
        fleet: Arc::clone(&setup.fleet),
        upstream: setup.upstream.within(model.timeouts.connect),
        timeouts: model.timeouts,
        bounds: setup.config.bounds,
        model,
        rank: Rank { tenant: caller.tenant.as_str().into(), weight: caller.weight, priority: caller.priority },
        headers,
        body,
        peek,
        form,
        // One of its own: at a stop a job is not broken off, it goes back to the queue.
        watchdog: Arc::default(),
        partings: proxy.partings(),
        account,
        deadline,
        held,
        ticket,
        stage: Arc::default(),
        line_until: None,
        hold: Some(Arc::clone(hold)),
    };
    let response = Box::pin(answer(request)).await?;
    read(response, setup.config.overflow.answer_bytes).await
}

async fn read(response: Response, limit: usize) -> Result<Answer, ProxyError> {
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, limit).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(ProxyError::AnswerTooLarge { limit }),
        Err(error) => {
            return Err(ProxyError::Disconnected { backend: "the model's".to_owned(), reason: error.to_string() });
        }
    };
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Answer { status: head.status.as_u16(), content_type: content_type.to_owned(), body })
}

/// Keeps the answer, or puts the job back if it can still be served later.
async fn settle(
    overflow: &Overflow,
    setup: &Setup,
    hold: &Hold,
    came: Result<Answer, ProxyError>,
    model: &Arc<Model>,
) -> Paused {
    let (error, pause) = match came {
        Ok(answer) => {
            end(overflow, setup, hold, DeferredStatus::Completed, None, answer).await;
            return Paused::No;
        }
        Err(ProxyError::JobTaken) => return Paused::No,
        Err(error) if matches!(&error, ProxyError::QueueFull { model: full, .. } if *full == model.name) => {
            put_back(hold, &error, 0).await;
            return Paused::UntilRoom(Arc::clone(model));
        }
        Err(error) if is_deferrable(&error) || matches!(error, ProxyError::JobsAway { .. }) => {
            let wait = error.retry_after().unwrap_or(AGAIN);
            // Whoever waits for a start goes on waiting, so that the service is not forgotten.
            (error.clone(), if matches!(error, ProxyError::StartTimeout { .. }) { Duration::ZERO } else { wait })
        }
        Err(error @ ProxyError::CannotStart { .. }) => (error, HOPELESS),
        Err(error) if breaks_off(&error) && hold.last().await.job.lost + 1 < setup.config.overflow.attempts => {
            put_back(hold, &error, 1).await;
            return Paused::For(Pause::Model(model.name.clone()), AGAIN);
        }
        Err(error) => {
            let route = Route::of(&hold.last().await.job.path);
            let refused = envelope::response(&error, route.is_some_and(Route::is_anthropic), "");
            if let Ok(answer) = read(refused, usize::MAX).await {
                end(overflow, setup, hold, DeferredStatus::Failed, Some(error.to_string()), answer).await;
            }
            return Paused::No;
        }
    };
    put_back(hold, &error, 0).await;
    if pause.is_zero() { Paused::No } else { Paused::For(Pause::Model(model.name.clone()), pause) }
}

/// Whether a model server may have been in the middle of it: another attempt may do better.
fn breaks_off(error: &ProxyError) -> bool {
    matches!(error, ProxyError::Disconnected { .. } | ProxyError::BadReply { .. })
        || matches!(error, ProxyError::Upstream(refusal) if matches!(refusal.status.as_u16(), 502 | 504))
}

async fn put_back(hold: &Hold, error: &ProxyError, lost: u32) {
    let because = error.to_string();
    let step = |job: &DeferredJob| DeferredJob { lost: job.lost + lost, ..job.put_back(because) };
    match hold.step(step).await {
        Ok(_) => metrics::job("put_back"),
        // It is not in hand any more all the same, so it is free for whoever comes next.
        Err(error) => tracing::warn!(%error, "a job was not put back"),
    }
}

/// Stores the answer and then the end, however long the broker is away. If the job is in other hands by then, nothing of
/// it counts.
async fn end(
    overflow: &Overflow,
    setup: &Setup,
    hold: &Hold,
    status: DeferredStatus,
    because: Option<String>,
    answer: Answer,
) {
    let keep = setup.config.overflow.keep;
    for _ in 0..TRIES {
        let job = hold.last().await.job.clone();
        let name = format!("a{}", job.attempt);
        let stored = overflow.jobs.store(&job.id, &name, &answer.body, keep).await.map_err(super::away);
        let ended = match stored {
            Ok(body) => {
                let (status_code, content_type) = (answer.status, answer.content_type.clone());
                let response = Some(DeferredResponse { status_code, content_type, body });
                hold.step(|job| DeferredJob { response, ..overflow.ended(job, status, because.clone()) }).await
            }
            Err(error) => Err(error),
        };
        match ended {
            Ok(known) => {
                let job = &known.job;
                tracing::info!(
                    target: "chat_api.http",
                    request_id = job.request_id, job = job.id, attempt = job.attempt, status = status.as_str(),
                    key = job.caller.key, "job ended"
                );
                if let Err(error) = overflow.tell(&known, keep).await {
                    tracing::warn!(%error, job = job.id, "the end of a job was not told yet");
                }
                if let Err(error) = overflow.jobs.drop_body(&job.id, &job.request.name).await {
                    tracing::debug!(%error, job = job.id, "a request is kept for longer than needed");
                }
                return;
            }
            Err(ProxyError::JobsAway { why }) => tracing::warn!(why, job = job.id, "the end of a job is not kept yet"),
            Err(error) => return tracing::info!(%error, job = job.id, "an answer came too late"),
        }
        sleep(AGAIN).await;
    }
}
