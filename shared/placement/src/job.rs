//! A job: what was asked, what happened to it, and where that leaves it.

use crate::clock::{after, since_ms};
use crate::policy::backoff_ms;
use crate::{JobId, Place, ServiceName, ServiceType};
use domain::Time;
use serde::{Deserialize, Serialize};

mod event;

pub use event::{Interruption, JobEvent, Loss, Refusal};

/// What was asked. The payload is not here: no decision depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its id.
    pub id: JobId,
    /// The type of service that can do it.
    pub service_type: ServiceType,
    /// The one service that may do it; none means any of the type.
    pub service_name: Option<ServiceName>,
    /// Lower is more urgent.
    pub priority: i32,
    /// How long it may wait, from its submission; none means for ever.
    pub ttl_ms: Option<u64>,
    /// Attempts that may fail before it does.
    pub max_attempts: u32,
    /// How long one attempt may take; none means as its service says.
    pub timeout_ms: Option<u64>,
    /// Wait before the first retry; doubles with each further one.
    pub retry_first_ms: u64,
    /// Longest wait before a retry.
    pub retry_cap_ms: u64,
}

impl JobSpec {
    /// A job with the contract's defaults.
    pub fn new(id: impl Into<JobId>, service_type: impl Into<ServiceType>) -> Self {
        Self {
            id: id.into(),
            service_type: service_type.into(),
            service_name: None,
            priority: 3,
            ttl_ms: Some(3_600_000),
            max_attempts: 3,
            timeout_ms: None,
            retry_first_ms: 1_000,
            retry_cap_ms: 60_000,
        }
    }
}

/// Where a job stands. The last four are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It waits for a service, or for its retry to be due.
    Queued,
    /// An attempt holds a slot.
    Running,
    /// It made way for a more urgent job.
    Paused,
    /// It has a result.
    Completed,
    /// It will have none.
    Failed,
    /// A person ended it.
    Cancelled,
    /// It waited too long.
    Expired,
}

impl JobStatus {
    /// Whether nothing will change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// The lower-case word clients see.
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
}

/// A job as its events left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What was asked, with the priority as it is now.
    pub spec: JobSpec,
    /// Its place in the queue, kept for good.
    pub place: Place,
    /// Where it stands.
    pub status: JobStatus,
    /// When it was submitted.
    pub submitted_at: Time,
    /// Since when it has been in the queue, this time.
    pub queued_at: Time,
    /// Attempts so far. A result must name the current one.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Attempts that were lost through no fault of the job.
    pub losses: u32,
    /// When a retry is due.
    pub not_before: Option<Time>,
    /// The attempt that holds a slot.
    pub run: Option<Run>,
    /// Who it made way for.
    pub paused: Option<Pause>,
    /// The service on which others made way for it.
    pub claim: Option<ServiceName>,
    /// How often it made way.
    pub preempt_count: u32,
    /// A person wants it ended.
    pub cancel_asked: bool,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// An attempt that holds a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Where.
    pub service: ServiceName,
    /// Which start of the container.
    pub generation: u64,
    /// Since when.
    pub started_at: Time,
    /// Until when.
    pub deadline: Time,
    /// When it last saved what it had done.
    pub saved_at: Option<Time>,
    /// How far it says it is, in thousandths.
    pub done_permille: Option<u16>,
    /// Set while it is being stopped.
    pub interrupt: Option<Interrupt>,
}

impl Run {
    /// The work that would have to be done again if it stopped now.
    pub fn unsaved_ms(&self, now: Time) -> u64 {
        since_ms(self.saved_at.unwrap_or(self.started_at), now)
    }
}

/// An interruption under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupt {
    /// Why.
    pub cause: Interruption,
    /// Until when the service may take to let go.
    pub deadline: Time,
}

/// Why a job is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The more urgent job; none when a person asked.
    pub by: Option<JobId>,
    /// Since when.
    pub since: Time,
}

impl Job {
    /// A job just submitted.
    pub fn submitted(spec: JobSpec, place: Place, at: Time) -> Self {
        Self {
            spec,
            place,
            status: JobStatus::Queued,
            submitted_at: at,
            queued_at: at,
            attempt: 0,
            failures: 0,
            losses: 0,
            not_before: None,
            run: None,
            paused: None,
            claim: None,
            preempt_count: 0,
            cancel_asked: false,
            error: None,
            ended_at: None,
        }
    }

    /// When it expires, if it is still queued then.
    pub fn expires_at(&self) -> Option<Time> {
        self.spec.ttl_ms.map(|ttl| after(self.submitted_at, ttl))
    }

    /// Takes in one event. A refused event changes nothing.
    pub fn apply(&mut self, event: &JobEvent, at: Time) -> Result<(), Refusal> {
        self.check(event)?;
        match event {
            JobEvent::Dispatched { attempt, service, generation, deadline } => {
                self.dispatched(*attempt, service, *generation, *deadline, at);
            }
            JobEvent::Progressed { done_permille, saved, .. } => self.progressed(*done_permille, *saved, at),
            JobEvent::InterruptRequested { cause, deadline, .. } => {
                if let Some(run) = &mut self.run {
                    run.interrupt = Some(Interrupt { cause: cause.clone(), deadline: *deadline });
                }
            }
            JobEvent::Claimed { service } => self.claim = Some(service.clone()),
            JobEvent::Interrupted { .. } => self.interrupted(at),
            JobEvent::AttemptLost { cause, .. } => self.lost(cause, at),
            JobEvent::AttemptFailed { error, .. } => self.attempt_failed(error, at),
            JobEvent::Completed { .. } => self.end(JobStatus::Completed, at),
            JobEvent::Resumed => self.requeue(at),
            JobEvent::PriorityChanged { priority } => {
                self.spec.priority = *priority;
                self.claim = None;
            }
            JobEvent::CancelRequested if self.status == JobStatus::Running => self.cancel_asked = true,
            JobEvent::CancelRequested => self.end(JobStatus::Cancelled, at),
            JobEvent::Expired => self.end(JobStatus::Expired, at),
            JobEvent::Failed { error } => {
                self.error = Some(error.clone());
                self.end(JobStatus::Failed, at);
            }
        }
        Ok(())
    }

    /// Whether the event fits where the job stands; the fence is here.
    fn check(&self, event: &JobEvent) -> Result<(), Refusal> {
        if self.status.is_terminal() {
            return Err(Refusal::Ended { status: self.status });
        }
        if let Some(attempt) = event.attempt() {
            let (wanted, status) = if matches!(event, JobEvent::Dispatched { .. }) {
                (self.attempt + 1, JobStatus::Queued)
            } else {
                (self.attempt, JobStatus::Running)
            };
            if attempt != wanted {
                return Err(Refusal::Superseded { attempt, current: self.attempt });
            }
            return self.require(status);
        }
        if matches!(event, JobEvent::CancelRequested) {
            return Ok(());
        }
        let wanted = if matches!(event, JobEvent::Resumed) { JobStatus::Paused } else { JobStatus::Queued };
        self.require(wanted)
    }

    fn require(&self, status: JobStatus) -> Result<(), Refusal> {
        if self.status == status { Ok(()) } else { Err(Refusal::WrongStatus { status: self.status }) }
    }

    fn dispatched(&mut self, attempt: u32, service: &ServiceName, generation: u64, deadline: Time, at: Time) {
        self.attempt = attempt;
        self.status = JobStatus::Running;
        self.not_before = None;
        if self.claim.as_ref() != Some(service) {
            self.claim = None;
        }
        self.run = Some(Run {
            service: service.clone(),
            generation,
            started_at: at,
            deadline,
            saved_at: None,
            done_permille: None,
            interrupt: None,
        });
    }

    fn progressed(&mut self, done_permille: Option<u16>, saved: bool, at: Time) {
        if let Some(run) = &mut self.run {
            run.done_permille = done_permille.or(run.done_permille);
            if saved {
                run.saved_at = Some(at);
            }
        }
    }

    /// The attempt has let go of its slot because it was told to.
    fn interrupted(&mut self, at: Time) {
        let interrupt = self.run.take().and_then(|run| run.interrupt);
        self.claim = None;
        if self.cancel_asked {
            return self.end(JobStatus::Cancelled, at);
        }
        match interrupt.map(|interrupt| interrupt.cause) {
            Some(Interruption::Preempted { by }) => {
                self.status = JobStatus::Paused;
                self.preempt_count += 1;
                self.paused = Some(Pause { by, since: at });
            }
            Some(Interruption::TimedOut) => self.attempt_failed("the attempt took longer than its time limit", at),
            Some(Interruption::Cancelled) => self.end(JobStatus::Cancelled, at),
            Some(Interruption::Drained) | None => self.requeue(at),
        }
    }

    fn lost(&mut self, cause: &Loss, at: Time) {
        if self.cancel_asked || self.run.as_ref().is_some_and(|run| run.interrupt.is_some()) {
            return self.interrupted(at);
        }
        match cause {
            Loss::ContainerExited => self.attempt_failed("the container ended while the job ran", at),
            Loss::ContainerStopped => self.requeue(at),
            Loss::NodeLost | Loss::ConnectionLost => {
                self.losses += 1;
                self.requeue(at);
            }
        }
    }

    fn attempt_failed(&mut self, error: &str, at: Time) {
        self.error = Some(error.to_owned());
        self.failures += 1;
        if self.cancel_asked {
            return self.end(JobStatus::Cancelled, at);
        }
        if self.failures >= self.spec.max_attempts {
            return self.end(JobStatus::Failed, at);
        }
        self.requeue(at);
        self.not_before = Some(after(at, backoff_ms(self.spec.retry_first_ms, self.spec.retry_cap_ms, self.failures)));
    }

    fn requeue(&mut self, at: Time) {
        self.status = JobStatus::Queued;
        self.queued_at = at;
        self.run = None;
        self.paused = None;
        self.claim = None;
        self.not_before = None;
    }

    fn end(&mut self, status: JobStatus, at: Time) {
        self.status = status;
        self.ended_at = Some(at);
        self.run = None;
        self.paused = None;
        self.claim = None;
        self.not_before = None;
    }
}
