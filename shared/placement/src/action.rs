//! What a decision asks for.

use crate::clock::after;
use crate::{
    Change, Cluster, Interruption, Job, JobEvent, JobId, JobStatus, Loss, ServiceName, Spot, State, StopReason,
};
use domain::Time;
use serde::{Deserialize, Serialize};

/// One thing to do. Its event is stored first; then it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Start a container.
    Start {
        /// Which.
        service: ServiceName,
        /// Where, and the memory set aside.
        spot: Spot,
        /// The number of this start.
        generation: u64,
    },
    /// Send a container no more jobs; it is stopped after its last.
    Drain {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
        /// Why.
        reason: StopReason,
    },
    /// Stop a container.
    Stop {
        /// Which.
        service: ServiceName,
        /// Which start of it.
        generation: u64,
        /// Why.
        reason: StopReason,
    },
    /// Send a job to a service.
    Dispatch {
        /// Which.
        job: JobId,
        /// Its attempt, which fences its result.
        attempt: u32,
        /// Where.
        service: ServiceName,
        /// Which start of the container.
        generation: u64,
        /// Until when.
        deadline: Time,
    },
    /// Make a running job let go of its slot.
    Interrupt {
        /// Which.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// Where.
        service: ServiceName,
        /// Why; `preempted` pauses it.
        cause: Interruption,
        /// Until when it may take; then its container is stopped.
        deadline: Time,
    },
    /// Remember that others make way for a job.
    Claim {
        /// The job.
        job: JobId,
        /// The service that it will run on.
        service: ServiceName,
    },
    /// Put a paused job back in the queue.
    Resume {
        /// Which.
        job: JobId,
    },
    /// Give up an attempt whose container is gone.
    Requeue {
        /// Which.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// How it was lost.
        cause: Loss,
    },
    /// End a job that waited too long.
    Expire {
        /// Which.
        job: JobId,
    },
    /// End a job that will never run.
    Fail {
        /// Which.
        job: JobId,
        /// Why, with numbers.
        error: String,
    },
}

impl Action {
    /// The event that announces it.
    pub fn change(&self) -> Change {
        match self.clone() {
            Self::Start { service, spot, generation } => Change::StartRequested { service, spot, generation },
            Self::Drain { service, generation, reason } => Change::DrainBegun { service, generation, reason },
            Self::Stop { service, generation, reason } => Change::StopRequested { service, generation, reason },
            Self::Dispatch { job, attempt, service, generation, deadline } => {
                of_job(job, JobEvent::Dispatched { attempt, service, generation, deadline })
            }
            Self::Interrupt { job, attempt, cause, deadline, .. } => {
                of_job(job, JobEvent::InterruptRequested { attempt, cause, deadline })
            }
            Self::Claim { job, service } => of_job(job, JobEvent::Claimed { service }),
            Self::Resume { job } => of_job(job, JobEvent::Resumed),
            Self::Requeue { job, attempt, cause } => of_job(job, JobEvent::AttemptLost { attempt, cause }),
            Self::Expire { job } => of_job(job, JobEvent::Expired),
            Self::Fail { job, error } => of_job(job, JobEvent::Failed { error }),
        }
    }

    pub(crate) fn interrupt(job: &Job, cause: Interruption, now: Time, grace_ms: u64) -> Option<Self> {
        let run = job.run.as_ref()?;
        Some(Self::Interrupt {
            job: job.spec.id.clone(),
            attempt: job.attempt,
            service: run.service.clone(),
            cause,
            deadline: after(now, grace_ms),
        })
    }
}

fn of_job(job: JobId, what: JobEvent) -> Change {
    Change::Job { job, what }
}

/// The effects that are owed: a function of the state, so that a driver that restarts performs what its
/// predecessor announced and perhaps did not do. Each may be performed twice; the fences make that harmless.
pub fn outstanding(cluster: &Cluster) -> Vec<Action> {
    let containers = cluster.services.iter().filter_map(|(name, registered)| {
        let container = &registered.container;
        let (service, generation) = (name.clone(), container.generation);
        match &container.state {
            State::Starting { .. } => container.spot.clone().map(|spot| Action::Start { service, spot, generation }),
            State::Stopping { reason, .. } => Some(Action::Stop { service, generation, reason: reason.clone() }),
            State::Stopped | State::Ready { .. } | State::Unhealthy { .. } => None,
            State::Draining { .. } | State::Lost { .. } => None,
        }
    });
    let jobs = cluster.jobs.values().filter(|job| job.status == JobStatus::Running);
    containers.chain(jobs.filter_map(owed_to_job)).collect()
}

fn owed_to_job(job: &Job) -> Option<Action> {
    let run = job.run.as_ref()?;
    let (id, attempt, service) = (job.spec.id.clone(), job.attempt, run.service.clone());
    Some(match &run.interrupt {
        Some(interrupt) => Action::Interrupt {
            job: id,
            attempt,
            service,
            cause: interrupt.cause.clone(),
            deadline: interrupt.deadline,
        },
        None => Action::Dispatch { job: id, attempt, service, generation: run.generation, deadline: run.deadline },
    })
}
