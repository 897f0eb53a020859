//! One attempt: the job's payload is posted to its service, verbatim, and the answer is stored before it is reported.

use super::http::{HttpError, exchange};
use super::{Shared, Target};
use crate::clock;
use crate::desk::{AttemptReport, Report};
use crate::names::{self, As};
use domain::control::{JobEnd, Payload, ProgressMode};
use domain::{Object, Time};
use reqwest::RequestBuilder;
use std::time::Duration;

/// A snapshot up to this long travels in a header; of a longer one only its place does.
const HEADER_BYTES: usize = 8_192;
/// How much longer than its deadline a call may take: by then it has been interrupted.
const GRACE: Duration = Duration::from_secs(30);
const POLL_WITHIN: Duration = Duration::from_secs(5);

/// An attempt that is about to begin.
pub(super) struct Attempt {
    pub(super) job: names::Job,
    pub(super) attempt: u32,
    pub(super) target: Target,
    pub(super) deadline: Time,
    pub(super) payload: Option<Payload>,
    /// What an earlier attempt last said of how far it is.
    pub(super) progress: Option<Object>,
}

impl Attempt {
    /// Runs it to its end.
    pub(super) async fn run(self, shared: &Shared) -> Report {
        match self.target.record.progress_mode {
            ProgressMode::Stateless | ProgressMode::Queue => self.call(shared).await,
            ProgressMode::Poll => {
                tokio::select! {
                    report = self.call(shared) => report,
                    () = self.poll(shared) => Report::Lost,
                }
            }
        }
    }

    async fn call(&self, shared: &Shared) -> Report {
        let payload = match self.payload(shared).await {
            Ok(payload) => payload,
            Err(error) => return Report::Failed { error, unreachable: false },
        };
        let answer = match self.request(shared, payload).await {
            Ok(request) => exchange(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(body) => self.store(shared, body).await,
            Err(error) => {
                // An exchange that broke off may mean that the service is gone; its health check tells.
                let unreachable = matches!(error, HttpError::Unreachable { .. } | HttpError::Broken { .. });
                Report::Failed { error: error.to_string(), unreachable }
            }
        }
    }

    async fn payload(&self, shared: &Shared) -> Result<Payload, String> {
        if let Some(payload) = &self.payload {
            return Ok(payload.clone());
        }
        let stored = shared.bus.control().request(&self.job.cast()).await;
        match stored {
            Ok(Some(request)) => Ok(request.payload),
            Ok(None) => Err("the job's payload is no longer stored".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn request(&self, shared: &Shared, payload: Payload) -> Result<RequestBuilder, HttpError> {
        let record = &self.target.record;
        let path = record.more.job_endpoint.as_deref().unwrap_or_else(|| job_path(record.service_type.as_str()));
        let request = shared.http.post(&self.target, path, payload.get().to_owned())?;
        let request = identify(request, &self.job, self.attempt, self.deadline);
        let request = request.timeout(clock::until(self.deadline) + GRACE);
        if self.attempt == 1 {
            return Ok(request);
        }
        Ok(self.with_snapshot(shared, request).await)
    }

    /// What an earlier attempt left to resume from. A service that cannot be told begins anew.
    async fn with_snapshot(&self, shared: &Shared, request: RequestBuilder) -> RequestBuilder {
        let snapshot = match shared.bus.job_documents().snapshot(&self.job.cast()).await {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return self.with_progress(request),
            Err(error) => {
                tracing::warn!(%error, job = %self.job, "the snapshot cannot be read; the job begins anew");
                return request;
            }
        };
        let text = ascii(snapshot.get());
        if text.len() <= HEADER_BYTES {
            request.header("Gantry-Resume-Snapshot", text)
        } else {
            request.header("Gantry-Resume-From", format!("/queue/{}", self.job))
        }
    }

    /// Without a snapshot, how far it was is the best that can be told.
    fn with_progress(&self, request: RequestBuilder) -> RequestBuilder {
        let text = self.progress.as_ref().and_then(|progress| serde_json::to_string(progress).ok());
        match text.map(|text| ascii(&text)).filter(|text| text.len() <= HEADER_BYTES) {
            Some(text) => request.header("Gantry-Resume-Progress", text),
            None => request,
        }
    }

    async fn store(&self, shared: &Shared, body: Vec<u8>) -> Report {
        let result: Payload = match serde_json::from_slice(&body) {
            Ok(result) => result,
            Err(error) => {
                let error = format!("'{}' answered what is no JSON: {error}", self.target.record.name);
                return Report::Failed { error, unreachable: false };
            }
        };
        let end = JobEnd { attempt: self.attempt, result };
        while let Err(error) = shared.bus.job_documents().store_end(&self.job.cast(), &end).await {
            if !error.is_transient() {
                return Report::Failed { error: format!("the result cannot be stored: {error}"), unreachable: false };
            }
            tracing::warn!(%error, job = %self.job, "a result waits for the broker");
        }
        Report::Completed
    }

    /// Asks the service how far it is, for as long as the attempt lasts.
    async fn poll(&self, shared: &Shared) {
        let Some(path) = self.target.record.progress_endpoint.as_deref() else {
            return std::future::pending().await;
        };
        let mut beat = tokio::time::interval(shared.config.poll_every);
        loop {
            beat.tick().await;
            let Ok(request) = shared.http.get(&self.target, path) else { continue };
            let request = identify(request, &self.job, self.attempt, self.deadline).timeout(POLL_WITHIN);
            let Ok(body) = exchange(request).await else { continue };
            if let Ok(progress) = serde_json::from_slice::<Object>(&body) {
                let (job, attempt, what) = (self.job.clone(), self.attempt, Report::Progress(progress));
                shared.report(AttemptReport { job, attempt, what }).await;
            }
        }
    }
}

/// The contract's path of a type.
fn job_path(service_type: &str) -> &'static str {
    match service_type {
        "llm" | "vlm" => "/v1/chat/completions",
        "code-runner" => "/execute",
        _ => "/process",
    }
}

/// Says whose call it is.
pub(super) fn identify(request: RequestBuilder, job: &names::Job, attempt: u32, deadline: Time) -> RequestBuilder {
    request
        .header("Gantry-Job-Id", job.as_str())
        .header("Gantry-Attempt", attempt)
        .header("Gantry-Deadline", deadline.rfc3339())
        .header("Idempotency-Key", format!("{job}-{attempt}"))
}

/// JSON with everything beyond ASCII escaped, on one line, so that it fits into a header.
fn ascii(json: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' => text.push(character),
            '\n' | '\r' | '\t' => text.push(' '),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_survives_its_way_through_a_header() {
        let json = "{\n \"word\": \"zwölf 𝄞\"}";
        let value: serde_json::Value = serde_json::from_str(&ascii(json)).unwrap();
        assert_eq!(value["word"], "zwölf 𝄞");
        assert!(ascii(json).is_ascii());
    }
}
