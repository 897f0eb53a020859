//! What a person or a service wants of the control plane, stored before it is answered.

use super::{JobId, JobView, Payload, ServiceChange, ServiceName, ServiceRecord, ServiceView};
use crate::{Object, Time};
use serde::{Deserialize, Serialize};

/// An order, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ControlOrder {
    /// Unique; the same order again has the same id and is carried out once.
    pub id: String,
    /// When it was given.
    pub at: Time,
    /// What.
    pub order: Order,
}

/// What can be ordered. Submitting a job is not here: a [`super::JobRequest`] is its own order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// End a job.
    CancelJob {
        /// Which.
        job: JobId,
        /// Whether it is also ended if it runs.
        running: bool,
    },
    /// Change a queued job's priority.
    SetPriority {
        /// Which.
        job: JobId,
        /// The new one.
        priority: i32,
    },
    /// Put a paused job back in the queue.
    ResumeJob {
        /// Which.
        job: JobId,
    },
    /// A service, or whoever speaks for it, says how far a job is.
    ReportProgress {
        /// Which.
        job: JobId,
        /// Which attempt; none means the present one.
        attempt: Option<u32>,
        /// Whatever it says.
        progress: Object,
        /// What it would resume from; stored, and given back.
        snapshot: Option<Payload>,
    },
    /// Register a service.
    RegisterService {
        /// All of it.
        service: Box<ServiceRecord>,
    },
    /// Change a registration.
    UpdateService {
        /// Which.
        name: ServiceName,
        /// What of it.
        change: Box<ServiceChange>,
    },
    /// Remove a registration.
    DeleteService {
        /// Which.
        name: ServiceName,
    },
    /// Start a service.
    StartService {
        /// Which.
        name: ServiceName,
    },
    /// Stop a service.
    StopService {
        /// Which.
        name: ServiceName,
        /// Whether its jobs may end first, within the drain time.
        drain: bool,
    },
    /// Make the job that runs on a service give way to a queued one.
    Preempt {
        /// The service.
        service: ServiceName,
        /// The queued job.
        by: JobId,
    },
    /// Put every paused job of a service's type back in the queue.
    Release {
        /// The service.
        service: ServiceName,
    },
}

/// What became of an order, or of a submission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The job, after it.
    Job(Box<JobView>),
    /// The service, before it: what it asks for may take a while.
    Service(Box<ServiceView>),
    /// The registration that is gone.
    Deleted(ServiceName),
    /// A job is being stopped for another.
    Preempting {
        /// The one that gives way.
        job: Box<JobView>,
        /// The one that it gives way to.
        by: JobId,
        /// Whether a snapshot or progress of it is stored by now.
        progress_saved: bool,
    },
    /// These are back in the queue.
    Released(Vec<JobId>),
    /// It was not done.
    Refused(Refused),
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// In one word.
    pub kind: RefusedKind,
    /// For a person.
    pub text: String,
    /// The state of the job that it was about, if it was about one.
    pub job: Option<super::JobState>,
    /// Numbers: of what is missing (`required_mb`, `available_mb`, `running_services`, `running_vram_mb`).
    pub numbers: Option<Object>,
}

/// Why an order was not carried out, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedKind {
    /// No job of that id.
    UnknownJob,
    /// No service of that name.
    UnknownService,
    /// A job of that id was submitted before with other contents.
    JobExists,
    /// A service of that name is registered.
    ServiceExists,
    /// Jobs run on the service.
    ServiceHasActiveJobs,
    /// The job runs.
    JobRunning,
    /// The job has ended.
    JobEnded,
    /// The job does not run.
    JobNotRunning,
    /// The job is not queued.
    JobNotQueued,
    /// The job is not paused.
    JobNotPaused,
    /// Nothing runs on the service.
    NoActiveJob,
    /// The job cannot run on the service.
    OtherType,
    /// No GPU has room for the service, and nothing idle can make room.
    InsufficientVram,
    /// No GPU host is connected.
    NoNode,
    /// The service has no container to start or stop.
    NoContainer,
    /// The report is of an attempt that was superseded.
    Superseded,
    /// What was sent cannot be taken.
    Invalid,
}
