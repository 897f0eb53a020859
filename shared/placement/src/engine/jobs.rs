//! What a job's own state asks for: its end, its return to the queue, its interruption.

use super::Engine;
use crate::{Action, Interruption, Job, JobStatus, Loss, Place, State, StopReason};

impl Engine {
    pub(super) fn look_at_job(&mut self, place: Place) {
        let Some(job) = self.cluster.jobs.get(&place) else {
            return;
        };
        match job.status {
            JobStatus::Queued => {
                if let Some(action) = self.end_of_wait(job) {
                    self.decide(action);
                }
            }
            JobStatus::Running => self.look_at_attempt(place),
            JobStatus::Paused => {
                if !self.makes_way(job) {
                    self.decide(Action::Resume { job: job.spec.id.clone() });
                }
            }
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled | JobStatus::Expired => {}
        }
    }

    fn end_of_wait(&self, job: &Job) -> Option<Action> {
        let id = job.spec.id.clone();
        if job.expires_at().is_some_and(|at| at <= self.now) {
            return Some(Action::Expire { job: id });
        }
        if job.losses > self.cluster.policy.max_losses {
            let error = format!("given up: its node or its connection was lost {} times while it ran", job.losses);
            return Some(Action::Fail { job: id, error });
        }
        let kind = self.index.types.get(&job.spec.service_type)?;
        if job.spec.service_name.is_none() && !kind.live.is_empty() {
            return None;
        }
        let names = kind.services.iter().filter(|name| job.spec.service_name.as_ref().is_none_or(|pin| pin == *name));
        let candidates = names.filter_map(|name| self.cluster.services.get(name));
        let error = self.cluster.never_fits(candidates.filter(|known| known.service.enabled))?;
        Some(Action::Fail { job: id, error })
    }

    fn look_at_attempt(&mut self, place: Place) {
        let Some(job) = self.cluster.jobs.get(&place) else {
            return;
        };
        let Some(run) = &job.run else { return };
        let grace = self.cluster.policy.interrupt_grace_ms;
        if let Some(cause) = self.how_lost(job) {
            return self.decide(Action::Requeue { job: job.spec.id.clone(), attempt: job.attempt, cause });
        }
        let action = match &run.interrupt {
            None if job.cancel_asked => Action::interrupt(job, Interruption::Cancelled, self.now, grace),
            None if run.deadline <= self.now => Action::interrupt(job, Interruption::TimedOut, self.now, grace),
            Some(interrupt) if interrupt.deadline <= self.now => {
                let (service, reason) =
                    (run.service.clone(), StopReason::HeldByInterrupted { job: job.spec.id.clone() });
                let stopping = |known: &crate::Registered| matches!(known.container.state, State::Stopping { .. });
                if !self.cluster.services.get(&service).is_none_or(stopping) {
                    self.stop(&service, reason);
                }
                return;
            }
            None | Some(_) => None,
        };
        if let Some(action) = action {
            self.decide(action);
        }
    }

    /// Whether the container that an attempt was sent to is gone, and how.
    fn how_lost(&self, job: &Job) -> Option<Loss> {
        let run = job.run.as_ref()?;
        let Some(known) = self.cluster.services.get(&run.service) else {
            return Some(Loss::ContainerStopped);
        };
        let container = &known.container;
        if container.generation != run.generation {
            return Some(Loss::ContainerStopped);
        }
        match container.state {
            // A container that ended by itself has an error; one that was stopped has none.
            State::Stopped if container.last_error.is_some() => Some(Loss::ContainerExited),
            State::Stopped => Some(Loss::ContainerStopped),
            State::Lost { .. } => Some(Loss::NodeLost),
            State::Starting { .. }
            | State::Ready { .. }
            | State::Unhealthy { .. }
            | State::Draining { .. }
            | State::Stopping { .. } => None,
        }
    }

    /// Whether the job that this one made way for still needs that.
    fn makes_way(&self, job: &Job) -> bool {
        let Some(by) = job.paused.as_ref().map(|paused| &paused.by) else {
            return false;
        };
        // Without a preemptor a person paused it, and a person resumes it.
        let Some(by) = by else { return true };
        let Some(preemptor) = self.cluster.job(by) else {
            return false;
        };
        let Some(claim) = &preemptor.claim else { return false };
        match preemptor.status {
            JobStatus::Running => true,
            JobStatus::Queued => self.cluster.services.get(claim).is_some_and(|known| known.container.serves()),
            JobStatus::Paused
            | JobStatus::Completed
            | JobStatus::Failed
            | JobStatus::Cancelled
            | JobStatus::Expired => false,
        }
    }
}
