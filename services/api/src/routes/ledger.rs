//! Ledgers: by page, several at once, and as a stream.

use crate::error::{ok, raw_json};
use crate::input::Input;
use crate::runs::find::exists;
use crate::stream::{Next, Stream};
use crate::{Api, ApiError, PlaneData};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use domain::RunId;
use http::{HeaderValue, StatusCode, header};
use ledger::{Item, Page};
use serde::Serialize;
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::time::Duration;

/// Runs of one batch request.
const BATCH: usize = 1_000;
/// Bytes of records of one batch answer; what is left is asked for again from `next_after`.
const BATCH_BYTES: usize = 32 * 1024 * 1024;

#[derive(Serialize)]
struct Records<'a> {
    items: Vec<&'a RawValue>,
    next_after: u64,
}

/// `GET /runs/{run_id}/ledger`
pub(super) async fn page(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let run = RunId::new(input.path("run_id"));
    let after = input.count("after");
    let limit = usize::try_from(input.count("limit")).unwrap_or(1);
    let items = records(data, &run, after, limit).await?.ok_or_else(|| ApiError::no_run(run.as_str()))?;
    Ok(ok(&shown(&items, after)))
}

/// Records of a run that exists; none when it does not.
async fn records(data: &PlaneData, run: &RunId, after: u64, limit: usize) -> Result<Option<Vec<Item>>, ApiError> {
    if let Some(Page { items, .. }) = data.ledger.records(run, after, limit).await? {
        return Ok(Some(items));
    }
    if !exists(data, run).await? {
        return Ok(None);
    }
    // It may have taken its first step between the two looks.
    let page = data.ledger.records(run, after, limit).await?;
    Ok(Some(page.map(|page| page.items).unwrap_or_default()))
}

fn shown(items: &[Item], after: u64) -> Records<'_> {
    Records { items: items.iter().map(|item| &*item.record).collect(), next_after: after + items.len() as u64 }
}

/// `POST /runs/ledger/batch`
pub(super) async fn batch(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let limit = usize::try_from(input.count("limit")).unwrap_or(1);
    let wanted = input.list("runs").map(Vec::as_slice).unwrap_or_default();
    if wanted.len() > BATCH {
        return Err(ApiError::bad_request(format!("a batch may name at most {BATCH} runs")));
    }
    let mut answer = Vec::from(*b"{\"runs\":{");
    let mut first = true;
    for one in wanted {
        let (Some(run), after) = (one["run_id"].as_str(), one["after"].as_u64().unwrap_or(0)) else {
            continue;
        };
        if answer.len() > BATCH_BYTES {
            break;
        }
        let Some(items) = records(data, &RunId::new(run), after, limit).await? else {
            continue;
        };
        if !std::mem::take(&mut first) {
            answer.push(b',');
        }
        append(&mut answer, run, &shown(&items, after))?;
    }
    answer.extend_from_slice(b"}}");
    Ok(raw_json(StatusCode::OK, answer))
}

fn append(answer: &mut Vec<u8>, run: &str, records: &Records<'_>) -> Result<(), ApiError> {
    let written = serde_json::to_writer(&mut *answer, run).and_then(|()| {
        answer.push(b':');
        serde_json::to_writer(&mut *answer, records)
    });
    written.map_err(|problem| ApiError::unavailable(problem.to_string()))
}

/// `GET /runs/{run_id}/ledger/stream`
pub(super) async fn stream(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let run = RunId::new(input.path("run_id"));
    let heartbeat = Duration::from_secs_f64(input.number("heartbeat_s").unwrap_or(5.0));
    let cursor = cursor(&input);
    let (live, stop) = (api.live.subscribe(), api.parts.stop.clone());
    let mut stream = Stream::new(data, &api.parts.feed, run.clone(), cursor, heartbeat, live, stop);
    if !stream.begin().await? && !api.recent.has(&data.plane, &run) && !Box::pin(exists(data, &run)).await? {
        return Err(ApiError::no_run(run.as_str()));
    }
    let pieces = futures::stream::unfold(stream, |mut stream| async move {
        match stream.next().await {
            Next::Bytes(bytes) => Some((Ok::<Bytes, Infallible>(bytes), stream)),
            Next::Closed => None,
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    Ok(response)
}

/// `after` counts; only when it is absent does the id of the last event that a browser saw.
fn cursor(input: &Input) -> u64 {
    let seen = || input.header("last-event-id").and_then(|text| text.parse().ok());
    match input.value("after") {
        Some(_) => input.count("after"),
        None => seen().unwrap_or(0),
    }
}
