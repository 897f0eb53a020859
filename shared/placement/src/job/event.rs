//! What can happen to a job.

use super::JobStatus;
use crate::{JobId, ServiceName};
use domain::Time;
use serde::{Deserialize, Serialize};

/// What happened to a job. Each is stored before anything is done because of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JobEvent {
    /// An attempt was given a slot.
    Dispatched {
        /// Its number, from 1; also the fence for whatever is reported of it.
        attempt: u32,
        /// Where.
        service: ServiceName,
        /// Which start of the container.
        generation: u64,
        /// Until when.
        deadline: Time,
    },
    /// The attempt says how far it is.
    Progressed {
        /// Which attempt.
        attempt: u32,
        /// In thousandths, if it says so.
        done_permille: Option<u16>,
        /// Whether all it did so far was saved and would be given back on resume.
        saved: bool,
    },
    /// The attempt is to let go of its slot.
    InterruptRequested {
        /// Which attempt.
        attempt: u32,
        /// Why.
        cause: Interruption,
        /// Until when; then its container is stopped.
        deadline: Time,
    },
    /// Others make way for this job on a service.
    Claimed {
        /// Which.
        service: ServiceName,
    },
    /// The attempt has let go of its slot.
    Interrupted {
        /// Which attempt.
        attempt: u32,
    },
    /// The attempt has a result.
    Completed {
        /// Which attempt.
        attempt: u32,
    },
    /// The attempt failed.
    AttemptFailed {
        /// Which attempt.
        attempt: u32,
        /// Why.
        error: String,
    },
    /// Nobody can say any more what became of the attempt, or its container is gone.
    AttemptLost {
        /// Which attempt.
        attempt: u32,
        /// How.
        cause: Loss,
    },
    /// A paused job is back in the queue, at its old place.
    Resumed,
    /// A person changed its priority while it was queued.
    PriorityChanged {
        /// The new one.
        priority: i32,
    },
    /// A person wants it ended. At once, unless it runs; then it is interrupted first.
    CancelRequested,
    /// It waited longer than it wanted to.
    Expired,
    /// It will never run.
    Failed {
        /// Why.
        error: String,
    },
}

impl JobEvent {
    /// The attempt that it is about, for those that are about one.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::Dispatched { attempt, .. }
            | Self::Progressed { attempt, .. }
            | Self::InterruptRequested { attempt, .. }
            | Self::Interrupted { attempt }
            | Self::Completed { attempt }
            | Self::AttemptFailed { attempt, .. }
            | Self::AttemptLost { attempt, .. } => Some(*attempt),
            Self::Claimed { .. }
            | Self::Resumed
            | Self::PriorityChanged { .. }
            | Self::CancelRequested
            | Self::Expired
            | Self::Failed { .. } => None,
        }
    }
}

/// Why an attempt is to let go of its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Interruption {
    /// For a more urgent job, or because a person asked.
    Preempted {
        /// The more urgent job.
        by: Option<JobId>,
    },
    /// A person ended the job.
    Cancelled,
    /// Its time is over.
    TimedOut,
    /// A person stops the service.
    Drained,
}

/// How an attempt was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Its container ended by itself: a failed attempt.
    ContainerExited,
    /// Its container was stopped: not the job's fault.
    ContainerStopped,
    /// Its node is silent: not the job's fault, but it may still be at work.
    NodeLost,
    /// Whoever waited for its answer is gone: not the job's fault, but it may still be at work.
    ConnectionLost,
}

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The job has ended.
    #[error("the job is already {}", status.as_str())]
    Ended {
        /// How.
        status: JobStatus,
    },
    /// The event does not fit where the job stands.
    #[error("the job is {}", status.as_str())]
    WrongStatus {
        /// Where it stands.
        status: JobStatus,
    },
    /// The event is of another attempt.
    #[error("attempt {attempt} was superseded: the current one is {current}")]
    Superseded {
        /// The event's.
        attempt: u32,
        /// The job's.
        current: u32,
    },
    /// The event is of an earlier start of the container, or does not fit where the container stands.
    #[error("the container of '{service}' has moved on since")]
    Stale {
        /// Whose container.
        service: ServiceName,
    },
    /// Nothing of that name is known.
    #[error("'{name}' is not known")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A job of that id exists.
    #[error("job '{job}' was submitted before")]
    Duplicate {
        /// Which.
        job: JobId,
    },
    /// The service still has running jobs or requests.
    #[error("'{service}' still runs {jobs} jobs, or requests; stop it first")]
    InUse {
        /// Which.
        service: ServiceName,
        /// How many.
        jobs: usize,
    },
}
