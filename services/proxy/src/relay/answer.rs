//! Turns what was opened into the response that a client sees.

use super::body::Answer;
use super::job::Job;
use super::live::{BrokenOff, Live};
use super::open::{Opened, Raw, open};
use super::parting::drain;
use super::watchdog::{Late, Watch};
use crate::error::ProxyError;
use crate::routing::{Guard, Route};
use crate::sse::frame::{event, named_event};
use crate::surface::envelope;
use crate::usage::{Outcome, Tally};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{FutureExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// What a replica may take to refuse a request that had its place at the last moment.
const BEHIND_THE_LINE: Duration = Duration::from_secs(5);

type Beginning = Pin<Box<dyn Future<Output = Result<Opened, ProxyError>> + Send>>;

/// A request on its way to the beginning of its answer. Dropped before, it parts from its backend as that needs it.
struct Opening {
    future: Option<Beginning>,
    watch: Watch,
}

impl Future for Opening {
    type Output = Result<Opened, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let opened = future.as_mut().poll(cx);
        if opened.is_ready() {
            self.future = None;
        }
        opened
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(future) = self.future.take()
            && let Some(asked) = self.watch.stage.asked()
        {
            let watch = self.watch.clone();
            asked.part(future, async move |future, most| match future.await {
                Ok(opened) => drain(respond(opened, &watch).into_body().into_data_stream(), most).await,
                Err(_) => true,
            });
        }
    }
}

/// Serves the job. A stream's head waits for its first event, so that an early error is a real one; only when that
/// takes longer than the keep-alive does the head go first, with comments behind it.
pub(crate) async fn answer(job: Job) -> Result<Response, ProxyError> {
    let (route, patience, is_stream, watch) = (job.route, job.timeouts.keep_alive, job.is_stream(), job.watch());
    // Once the head has gone it is too late for a job.
    let silence = job.line_until.map_or(Duration::ZERO, |_| job.patience(Duration::MAX) + BEHIND_THE_LINE);
    let mut opening = Opening { future: Some(Box::pin(open(job))), watch };
    if !is_stream || patience.is_zero() {
        let opened = (&mut opening).await?;
        return Ok(respond(opened, &opening.watch));
    }
    match timeout(patience.max(silence), &mut opening).await {
        Ok(opened) => opened.map(|opened| respond(opened, &opening.watch)),
        Err(_) => {
            let watch = opening.watch.clone();
            let patient = Patient { opening, route, patience };
            Ok(events(Phase::Greeting(Box::new(patient)), &watch))
        }
    }
}

fn respond(opened: Opened, watch: &Watch) -> Response {
    match opened {
        Opened::Live(live) => events(Phase::Live(live), watch),
        Opened::Whole(whole) => {
            let json = HeaderValue::from_static("application/json");
            typed(whole.content_type.unwrap_or(json), Body::from(whole.text))
        }
        Opened::Raw(raw) => passed_on(*raw, watch),
    }
}

fn typed(content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

enum Phase {
    /// The head went before anything was known: says so at once.
    Greeting(Box<Patient>),
    Waiting(Box<Patient>),
    Live(Box<Live>),
    /// The failure was told; now the connection breaks.
    Broken(ProxyError),
    Over,
}

struct Patient {
    opening: Opening,
    route: Route,
    patience: Duration,
}

impl Patient {
    fn comment(&self) -> Bytes {
        self.opening.watch.stage.comment()
    }
}

fn events(phase: Phase, watch: &Watch) -> Response {
    let body = Body::from_stream(watch.over(Box::pin(stream::unfold(phase, advance))));
    let mut response = typed(HeaderValue::from_static("text/event-stream; charset=utf-8"), body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

type Piece = Result<Bytes, BrokenOff>;

async fn advance(phase: Phase) -> Option<(Piece, Phase)> {
    match phase {
        Phase::Greeting(patient) => Some((Ok(patient.comment()), Phase::Waiting(patient))),
        Phase::Waiting(mut patient) => match timeout(patient.patience, &mut patient.opening).await {
            Err(_) => Some((Ok(patient.comment()), Phase::Waiting(patient))),
            Ok(Ok(Opened::Live(mut live))) => live.next().await.map(|piece| (piece, Phase::Live(live))),
            Ok(Ok(Opened::Whole(_) | Opened::Raw(_))) => {
                let error = ProxyError::Unsupported("the backend did not answer with a stream".to_owned());
                Some((Ok(failure(patient.route, &error)), Phase::Broken(error)))
            }
            Ok(Err(error)) => Some((Ok(failure(patient.route, &error)), Phase::Broken(error))),
        },
        Phase::Live(mut live) => live.next().await.map(|piece| (piece, Phase::Live(live))),
        Phase::Broken(error) => {
            tokio::task::yield_now().await;
            Some((Err(BrokenOff(error)), Phase::Over))
        }
        Phase::Over => None,
    }
}

fn failure(route: Route, error: &ProxyError) -> Bytes {
    match route {
        Route::Messages | Route::CountTokens => named_event("error", &envelope::anthropic(error, None)),
        Route::Responses => named_event("error", &envelope::responses(error)),
        Route::Chat
        | Route::Completions
        | Route::Embeddings
        | Route::Rerank
        | Route::Speech
        | Route::Transcriptions
        | Route::Images => event(&envelope::openai(error)),
    }
}

/// Bytes as they come, held to the request's deadline.
fn passed_on(raw: Raw, watch: &Watch) -> Response {
    let Raw { content_type, length, body, backend, held, mut job } = raw;
    job.account.first_token();
    job.account.tally(Tally { tokens_in: crate::usage::estimate(job.prompt_bytes()), ..Tally::default() });
    let left = length.as_ref().and_then(|length| length.to_str().ok()?.parse().ok());
    let flow = Flow { body, held, job, name: backend.name().to_owned(), left, over: false };
    let body = Body::from_stream(watch.over(Box::pin(stream::unfold(flow, |flow| Box::pin(flow.advance())))));
    let binary = HeaderValue::from_static("application/octet-stream");
    let mut response = typed(content_type.unwrap_or(binary), body);
    *response.status_mut() = StatusCode::OK;
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response
}

struct Flow {
    body: Answer,
    held: Vec<Guard>,
    job: Job,
    name: String,
    /// Bytes that are still to come, if that was said.
    left: Option<u64>,
    over: bool,
}

impl Flow {
    async fn advance(mut self) -> Option<(Piece, Self)> {
        while !self.over {
            let watchdog = Arc::clone(&self.job.watchdog);
            match watchdog.within(self.job.deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => {
                        self.count(&piece);
                        return Some((Ok(piece), self));
                    }
                    Err(_) => continue,
                },
                Ok(None) => {
                    self.over = true;
                    self.job.account.close(Outcome::Completed);
                }
                Ok(Some(Err(error))) => {
                    let error = ProxyError::Disconnected { backend: self.name.clone(), reason: error.to_string() };
                    return Some(self.fail(error));
                }
                Err(Late::Stopping) => return Some(self.fail(ProxyError::Stopping)),
                Err(Late::Deadline) => {
                    let after = self.job.timeouts.total;
                    return Some(self.fail(ProxyError::TotalTimeout { after }));
                }
            }
        }
        self.held.clear();
        None
    }

    /// Behind the last byte nobody asks for more.
    fn count(&mut self, piece: &Bytes) {
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        if self.left == Some(0) && matches!(self.body.frame().now_or_never(), Some(None)) {
            self.over = true;
            self.job.account.close(Outcome::Completed);
        }
    }

    fn fail(mut self, error: ProxyError) -> (Piece, Self) {
        self.over = true;
        self.job.account.close(Outcome::Failed(error.face().code.unwrap_or_default()));
        (Err(BrokenOff(error)), self)
    }
}
