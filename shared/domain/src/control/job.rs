//! Jobs as they are submitted and as they are shown.

use super::{JobId, ServiceName, ServiceType};
use crate::{Object, Time, digest_hex};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON text, kept exactly as the client wrote it.
pub type Payload = Box<RawValue>;

/// A job as it was submitted. Stored once, before it is accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRequest {
    /// Its id.
    pub id: JobId,
    /// The type of service that can do it.
    pub service_type: ServiceType,
    /// What the service is sent, verbatim.
    pub payload: Payload,
    /// Lower is more urgent.
    pub priority: i32,
    /// The one service that may do it; none means any of the type.
    #[serde(default)]
    pub service_name: Option<ServiceName>,
    /// Where its end is told; already checked.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// How long it may wait, from its submission; none means for ever.
    pub ttl_seconds: Option<u64>,
    /// Attempts that may fail before it does.
    pub max_attempts: u32,
    /// How long one attempt may take; none means as its service says.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Wait before the first retry, doubled with each further one; none takes the default.
    #[serde(default)]
    pub retry_first_ms: Option<u64>,
    /// When it was submitted.
    pub submitted_at: Time,
}

impl JobRequest {
    /// A job with the contract's defaults.
    pub fn new(id: JobId, service_type: ServiceType, payload: Payload, submitted_at: Time) -> Self {
        Self {
            id,
            service_type,
            payload,
            priority: 3,
            service_name: None,
            callback_url: None,
            ttl_seconds: Some(3_600),
            max_attempts: 3,
            timeout_ms: None,
            retry_first_ms: None,
            submitted_at,
        }
    }

    /// Names what was asked, apart from when: the same request again has the same digest.
    pub fn digest(&self) -> String {
        let asked = Self { submitted_at: Time::from_micros(0), ..self.clone() };
        digest_hex(&[serde_json::to_string(&asked).unwrap_or_default().as_bytes()])
    }
}

/// Where a job stands. The last four are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for a service, or for its retry to be due.
    Queued,
    /// An attempt is under way.
    Running,
    /// It made way for a more urgent job, or a person paused it.
    Paused,
    /// It has a result.
    Completed,
    /// It will have none.
    Failed,
    /// A person ended it.
    Cancelled,
    /// It waited longer than it wanted to.
    Expired,
}

impl JobState {
    /// Whether nothing will change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// The word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Paused, Self::Completed, Self::Failed, Self::Cancelled, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// A job as it stands, without payload and result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its place in the queue, given at its submission and kept; also the cursor of lists.
    pub place: u64,
    /// The type of service that can do it.
    pub service_type: ServiceType,
    /// The service that it wants, or runs or ran on.
    pub service_name: Option<ServiceName>,
    /// Whether it wants that one service and no other.
    pub pinned: bool,
    /// Lower is more urgent.
    pub priority: i32,
    /// Where it stands.
    pub status: JobState,
    /// Whether a person wants it ended and it is being stopped.
    pub cancelling: bool,
    /// Where its end is told.
    pub callback_url: Option<String>,
    /// When it was submitted.
    pub created_at: Time,
    /// When its present or last attempt began; none again once it is back in the queue after a pause.
    pub started_at: Option<Time>,
    /// When it ended.
    pub completed_at: Option<Time>,
    /// Since when it is paused.
    pub paused_at: Option<Time>,
    /// Who it made way for.
    pub paused_by_job_id: Option<JobId>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// How long it may wait in all.
    pub ttl_seconds: Option<u64>,
    /// Attempts that were begun. The number of the present one, which fences its reports.
    pub attempts: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts that may fail.
    pub max_attempts: u32,
    /// Until when the present attempt may take.
    pub deadline: Option<Time>,
    /// When a retry is due.
    pub retry_at: Option<Time>,
    /// How often it made way.
    pub preempt_count: u32,
    /// What it last said of how far it is, with `updated_at` added.
    pub progress: Option<Object>,
    /// Whether a snapshot to resume from is stored.
    pub has_snapshot: bool,
    /// Why it waits; only where it was asked for.
    #[serde(default)]
    pub waiting: Option<WaitView>,
}

/// Why a job waits, and for how long it may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitView {
    /// From 1, among the jobs that compete with it for the same services; none while it is paused.
    pub position: Option<u64>,
    /// From 1, among all queued jobs of all types by priority and age, as the contract counts.
    pub position_overall: Option<u64>,
    /// For a person, with numbers.
    pub text: String,
    /// The reason by its word `because`, with its numbers.
    pub reason: serde_json::Value,
    /// At least so long, once runtimes are known.
    pub low_ms: Option<u64>,
    /// At most so long.
    pub high_ms: Option<u64>,
}

/// A job with everything stored of it.
#[derive(Clone, Debug)]
pub struct JobDetail {
    /// Where it stands.
    pub view: JobView,
    /// What the service is sent.
    pub payload: Payload,
    /// What the service answered.
    pub result: Option<Payload>,
    /// The last snapshot to resume from.
    pub snapshot: Option<Payload>,
}

/// What an attempt's answer left, stored before the job's end is announced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobEnd {
    /// Which attempt; of several, the one counts that the job's end names.
    pub attempt: u32,
    /// What the service answered, verbatim.
    pub result: Payload,
}
