//! Making an attempt let go of its slot: by asking the service, else by hanging up, else by having its container stopped.

use super::attempt::identify;
use super::http::exchange;
use super::{Shared, Target};
use crate::clock;
use crate::desk::{AttemptReport, Report};
use crate::names::{self, As};
use domain::Time;
use domain::control::Payload;
use placement::Interruption;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The shortest time that a service is given to stop a job.
const AT_LEAST: Duration = Duration::from_millis(500);

/// How long a service is given to notice that its caller has hung up.
const NOTICES_WITHIN: Duration = Duration::from_millis(50);

/// How long a call may go on after its service has said that it stopped the job.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// Between two times that a service is told to stop a job whose call goes on all the same.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// An attempt that is to let go.
pub(super) struct LetGo {
    pub(super) job: names::Job,
    pub(super) attempt: u32,
    pub(super) target: Target,
    pub(super) cause: &'static str,
    pub(super) deadline: Time,
    /// Our call; none if it was a predecessor's.
    pub(super) call: Option<Call>,
}

/// A call that we made.
pub(super) struct Call {
    /// Ends it.
    pub(super) hang_up: CancellationToken,
    /// Cancelled once it is over.
    pub(super) over: CancellationToken,
}

/// What a service may say when it has stopped a job.
#[derive(Deserialize)]
struct Stopped {
    #[serde(default)]
    snapshot: Option<Payload>,
}

impl LetGo {
    /// Does it, and reports what came of it.
    pub(super) async fn run(self, shared: &Shared) {
        let asked = self.ask_until_over(shared).await;
        if let Some(call) = self.call.as_ref().filter(|call| !call.over.is_cancelled()) {
            call.hang_up.cancel();
            tokio::time::sleep(NOTICES_WITHIN).await;
        }
        let record = &self.target.record;
        let quits = matches!(record.service_type.as_str(), "llm" | "vlm");
        let what = match asked {
            Some(snapshot) => Report::LetGo { snapshot },
            None if record.more.stops_on_disconnect.unwrap_or(quits) => Report::LetGo { snapshot: false },
            // Without a container there is nothing more that could be done, but a call that was ours is over.
            None if record.url.is_some() && self.call.is_some() => Report::LetGo { snapshot: false },
            // It may still be at work: its container has to stop before the slot is given to another.
            None => Report::Lost,
        };
        shared.report(AttemptReport { job: self.job, attempt: self.attempt, what }).await;
    }

    /// Asks until the call is over. A service that was told before it had read the call knows of no such job and says
    /// that nothing runs; so its word counts once the call has ended, or has gone on for long in spite of it.
    async fn ask_until_over(&self, shared: &Shared) -> Option<bool> {
        let mut snapshot = self.ask(shared).await?;
        let Some(Call { over, .. }) = &self.call else { return Some(snapshot) };
        let until = Instant::now() + ENDS_WITHIN;
        while Instant::now() < until && tokio::time::timeout(AGAIN_AFTER, over.cancelled()).await.is_err() {
            snapshot |= self.ask(shared).await?;
        }
        Some(snapshot)
    }

    /// Asks the service to stop the job; says whether it did and left a snapshot.
    async fn ask(&self, shared: &Shared) -> Option<bool> {
        let path = self.target.record.more.stop_endpoint.as_deref()?;
        let body = json!({
            "job_id": self.job.as_str(), "attempt": self.attempt, "cause": self.cause,
            "deadline": self.deadline.to_string(),
        });
        let request = shared.http.post(&self.target, path, body.to_string()).ok()?;
        let request = identify(request, &self.job, self.attempt, self.deadline);
        match exchange(request.timeout(clock::until(self.deadline).max(AT_LEAST))).await {
            Err(error) => {
                tracing::warn!(%error, job = %self.job, "the service did not stop the job; hanging up");
                None
            }
            Ok(body) => {
                let said: Option<Stopped> = serde_json::from_slice(&body).ok();
                Some(self.keep(shared, said.and_then(|said| said.snapshot)).await)
            }
        }
    }

    async fn keep(&self, shared: &Shared, snapshot: Option<Payload>) -> bool {
        let Some(snapshot) = snapshot.filter(|snapshot| snapshot.get() != "null") else { return false };
        match shared.bus.job_documents().store_snapshot(&self.job.cast(), &snapshot).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, job = %self.job, "a snapshot is lost; the job begins anew when it resumes");
                false
            }
        }
    }
}

/// Why, in the word that services are told.
pub(super) fn word(cause: &Interruption) -> &'static str {
    match cause {
        Interruption::Preempted { .. } => "preempted",
        Interruption::Cancelled => "cancelled",
        Interruption::TimedOut => "timed_out",
        Interruption::Drained => "drained",
    }
}
