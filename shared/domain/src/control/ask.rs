//! Questions that the leading scheduler answers from its state.

use super::{Answer, JobId, JobState, JobView, Overview, ServiceName, ServiceType, ServiceView};
use serde::{Deserialize, Serialize};

/// A question. `seen` everywhere is a position in the request stream that the answer must include.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// What became of the order, or of the submission, at that position.
    Outcome {
        /// The position.
        sequence: u64,
    },
    /// How a job stands, with why it waits.
    Job {
        /// Which.
        job: JobId,
        /// The answer is given once this was taken in.
        seen: u64,
    },
    /// A job once it has ended, or as it stands when the time is over.
    JobEnded {
        /// Which.
        job: JobId,
        /// The answer is given once this was taken in.
        seen: u64,
        /// For so long.
        within_ms: u64,
    },
    /// Jobs, newest first.
    Jobs(JobFilter),
    /// How a service stands.
    Service {
        /// Which.
        name: ServiceName,
        /// Whether its health is asked for now.
        probe: bool,
    },
    /// A service once it is as wanted, or as it stands when the time is over.
    ServiceWhen {
        /// Which.
        name: ServiceName,
        /// How.
        want: ServiceWant,
        /// For so long.
        within_ms: u64,
    },
    /// How all services stand, by name.
    Services {
        /// Whether their health is asked for now.
        probe: bool,
    },
    /// Everything in numbers.
    Overview,
    /// What would become of a job if it were submitted now: why it would wait, or nothing if it would start.
    DryRun {
        /// Its type.
        service_type: ServiceType,
        /// The one service that may do it.
        service_name: Option<ServiceName>,
        /// Its priority.
        priority: i32,
    },
}

/// What is waited for of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceWant {
    /// It runs and is healthy, or its start failed.
    Up,
    /// It does not run.
    Down,
    /// It has no job.
    Idle,
}

/// Which jobs are listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobFilter {
    /// In one of these states; empty means in any.
    pub states: Vec<JobState>,
    /// Of this type.
    pub service_type: Option<ServiceType>,
    /// Pinned to or run by this service.
    pub service_name: Option<ServiceName>,
    /// Only those with a smaller place: the place of the last one of the page before.
    pub before: Option<u64>,
    /// At most so many, no more than 1,000.
    pub limit: usize,
    /// The most urgent first, in one page, instead of the newest.
    pub urgent: bool,
    /// With why each waits; of the first 200.
    pub explain: bool,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To `Outcome`; none if it is too long ago.
    Outcome(Option<Answer>),
    /// To `Job`, `JobEnded` and `DryRun`.
    Job(Option<Box<JobView>>),
    /// To `Jobs`.
    Jobs {
        /// The page.
        jobs: Vec<JobView>,
        /// Where the next page begins; none after the last.
        next: Option<u64>,
    },
    /// To `Service` and `ServiceWhen`.
    Service(Option<Box<ServiceView>>),
    /// To `Services`.
    Services(Vec<ServiceView>),
    /// To `Overview`.
    Overview(Box<Overview>),
}
