//! What happens to jobs and services, as server-sent events: of one job until it has ended, or of all.
//!
//! The id of each event is `<step>.<index>`, and a client that comes back with the last one it saw misses nothing. A
//! stream is driven by its client: one that does not read costs one reader with a bounded batch.

use crate::input::Input;
use crate::stream::keep_alive;
use crate::{Api, ApiError};
use axum::body::Body;
use axum::response::Response;
use bus::control::NoticeTail;
use bytes::Bytes;
use domain::control::{JobId, JobView, Notice};
use futures::{Stream, StreamExt};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// `GET /queue/events`
pub(super) async fn all(api: Api, input: Input) -> Result<Response, ApiError> {
    let cursor = cursor(&input)?;
    let from = start(&api, cursor).await?;
    Ok(answer(Follow::new(&api, &input, from, cursor, None)))
}

/// `GET /queue/{job_id}/events`
pub(super) async fn of_job(api: Api, input: Input) -> Result<Response, ApiError> {
    let cursor = cursor(&input)?;
    // The end is taken before the job is looked at, so what happens in between is told twice rather than never.
    let from = start(&api, cursor).await?;
    let found = api.known_job(input.path("job_id")).await?;
    let mut follow = Follow::new(&api, &input, from, cursor, Some(found.id.clone()));
    if cursor.is_none() {
        follow.ready.push_back(snapshot(&found));
        if found.status.is_terminal() {
            follow.end(&found);
        }
    }
    Ok(answer(follow))
}

/// Where a client left off: the step and the index of the last notice that it saw.
type Cursor = (u64, usize);

fn cursor(input: &Input) -> Result<Option<Cursor>, ApiError> {
    let Some(text) = input.word("after").or_else(|| input.header("last-event-id")) else { return Ok(None) };
    let (step, index) = text.split_once('.').unwrap_or((text, ""));
    let index = if index.is_empty() { Ok(usize::MAX) } else { index.parse() };
    match (step.parse(), index) {
        (Ok(step), Ok(index)) => Ok(Some((step, index))),
        (Err(_), _) | (_, Err(_)) => Err(ApiError::bad_request("after is not the id of an event, such as 120.0")),
    }
}

/// The step behind which the reader begins.
async fn start(api: &Api, cursor: Option<Cursor>) -> Result<u64, ApiError> {
    match cursor {
        Some((step, _)) => Ok(step.saturating_sub(1)),
        None => Ok(api.parts.bus.notices_end().await?),
    }
}

struct Follow {
    tail: NoticeTail,
    seen: Option<Cursor>,
    job: Option<JobId>,
    ready: VecDeque<Bytes>,
    ended: bool,
    heartbeat: Duration,
    stop: CancellationToken,
}

impl Follow {
    fn new(api: &Api, input: &Input, from: u64, seen: Option<Cursor>, job: Option<JobId>) -> Self {
        Self {
            tail: api.parts.bus.notices_after(from),
            seen,
            job,
            ready: VecDeque::new(),
            ended: false,
            heartbeat: Duration::from_secs_f64(input.number("heartbeat_s").unwrap_or(15.0)),
            stop: api.parts.stop.clone(),
        }
    }

    /// The next piece. Waits for news, but never longer than the heartbeat.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let (step, notices) = tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(self.heartbeat) => return Some(keep_alive()),
                told = self.tail.next() => told,
            };
            self.take(step, notices);
        }
    }

    fn take(&mut self, step: u64, notices: Vec<Notice>) {
        for (index, notice) in notices.into_iter().enumerate() {
            let is_new = self.seen.is_none_or(|seen| (step, index) > seen);
            let job = notice.job.as_deref();
            let is_ours = self.job.as_ref().is_none_or(|id| job.is_some_and(|job| job.id == *id));
            if !is_new || !is_ours || self.ended {
                continue;
            }
            self.ready.push_back(event(step, index, &notice));
            if let Some(job) = job.filter(|_| self.job.is_some() && notice.kind.is_job_end()) {
                self.end(job);
            }
        }
    }

    fn end(&mut self, job: &JobView) {
        let data = json!({"job_id": job.id, "status": job.status});
        self.ready.push_back(format!("event: done\ndata: {data}\n\n").into());
        self.ended = true;
    }
}

fn event(step: u64, index: usize, notice: &Notice) -> Bytes {
    let mut data = json!(notice);
    let kind = data["notice"].as_str().unwrap_or("notice").to_owned();
    if let Some(job) = &notice.job {
        data["job"] = super::view::listed(job);
    }
    written(&format!("id: {step}.{index}\n"), &kind, &data)
}

/// How a job stands when its stream begins.
fn snapshot(view: &JobView) -> Bytes {
    written("", "job", &json!({"notice": "job", "job": super::view::listed(view)}))
}

/// JSON has no line break outside of its texts, and escapes those inside.
pub(super) fn written(id: &str, kind: &str, data: &Value) -> Bytes {
    format!("{id}event: {kind}\ndata: {data}\n\n").into()
}

fn answer(follow: Follow) -> Response {
    answer_with(futures::stream::unfold(follow, |mut follow| async move { Some((follow.next().await?, follow)) }))
}

/// An event stream of these pieces.
pub(super) fn answer_with(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(pieces.map(Ok::<Bytes, Infallible>)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
