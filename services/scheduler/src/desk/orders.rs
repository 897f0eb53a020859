//! Orders about jobs, and the way to those about services.

use super::{Desk, Effect};
use crate::board::order_state;
use crate::names::{self, As};
use domain::Object;
use domain::control::{Answer, JobId, JobState, Order, Refused, RefusedKind, ServiceName};
use placement::{Action, Interruption, Job, JobEvent, JobStatus, Refusal};

pub(super) fn refused(kind: RefusedKind, text: impl Into<String>) -> Answer {
    Answer::Refused(Refused { kind, text: text.into(), job: None, numbers: None })
}

fn refused_job(kind: RefusedKind, state: JobState, text: impl Into<String>) -> Answer {
    Answer::Refused(Refused { kind, text: text.into(), job: Some(state), numbers: None })
}

impl Desk {
    /// Carries out an order, or says why not.
    pub(super) fn order(&mut self, order: Order) -> Answer {
        match order {
            Order::CancelJob { job, running } => self.with_job(&job, |desk, id| desk.cancel(id, running)),
            Order::SetPriority { job, priority } => self.with_job(&job, |desk, id| {
                desk.job_event(id, JobEvent::PriorityChanged { priority });
                desk.unless(id, JobState::Queued, RefusedKind::JobNotQueued)
            }),
            Order::ResumeJob { job } => self.with_job(&job, |desk, id| match desk.job_event(id, JobEvent::Resumed) {
                None => desk.show(id),
                Some(refusal) => desk.refuse(id, RefusedKind::JobNotPaused, &refusal),
            }),
            Order::ReportProgress { job, attempt, progress, snapshot } => {
                let saved = snapshot.is_some();
                self.with_job(&job, |desk, id| desk.pushed_progress(id, attempt, progress, saved))
            }
            Order::RegisterService { service } => self.register(*service),
            Order::UpdateService { name, change } => self.update(&name, *change),
            Order::DeleteService { name } => self.delete(&name),
            Order::StartService { name } => self.start(&name),
            Order::StopService { name, drain } => self.stop(&name, drain),
            Order::Preempt { service, by } => self.preempt(&service, &by),
            Order::Release { service } => self.release(&service),
        }
    }

    fn with_job(&mut self, job: &JobId, act: impl FnOnce(&mut Self, &names::Job) -> Answer) -> Answer {
        let id = job.cast();
        if self.board.job(&id).is_none() {
            return refused(RefusedKind::UnknownJob, format!("Job not found: {job}"));
        }
        act(self, &id)
    }

    fn show(&self, id: &names::Job) -> Answer {
        match self.board.job(id) {
            Some(job) => Answer::Job(Box::new(self.board.job_view(job))),
            None => refused(RefusedKind::UnknownJob, format!("Job not found: {id}")),
        }
    }

    fn unless(&self, id: &names::Job, wanted: JobState, kind: RefusedKind) -> Answer {
        let state = self.board.job(id).map(|job| order_state(job.status));
        match state {
            Some(state) if state != wanted => refused_job(kind, state, format!("the job is {}", state.as_str())),
            Some(_) | None => self.show(id),
        }
    }

    fn refuse(&self, id: &names::Job, kind: RefusedKind, refusal: &Refusal) -> Answer {
        let state = self.board.job(id).map(|job| order_state(job.status));
        let kind = match refusal {
            Refusal::Ended { .. } => RefusedKind::JobEnded,
            Refusal::Superseded { .. } => RefusedKind::Superseded,
            Refusal::WrongStatus { .. }
            | Refusal::Stale { .. }
            | Refusal::Unknown { .. }
            | Refusal::Duplicate { .. }
            | Refusal::InUse { .. } => kind,
        };
        Answer::Refused(Refused { kind, text: refusal.to_string(), job: state, numbers: None })
    }

    fn cancel(&mut self, id: &names::Job, running: bool) -> Answer {
        let status = self.board.job(id).map(|job| job.status);
        if status == Some(JobStatus::Running) && !running {
            let text = "the job runs: preempt it, or cancel it with the flag for running jobs";
            return refused_job(RefusedKind::JobRunning, JobState::Running, text);
        }
        match self.job_event(id, JobEvent::CancelRequested) {
            None => self.show(id),
            Some(refusal) => self.refuse(id, RefusedKind::JobEnded, &refusal),
        }
    }

    fn pushed_progress(&mut self, id: &names::Job, attempt: Option<u32>, progress: Object, saved: bool) -> Answer {
        let Some(job) = self.board.job(id) else { return self.show(id) };
        let state = order_state(job.status);
        if job.status != JobStatus::Running {
            let text = format!("Job is {}, not running", state.as_str());
            return refused_job(RefusedKind::JobNotRunning, state, text);
        }
        let attempt = attempt.unwrap_or(job.attempt);
        match self.progress(id, attempt, progress, saved) {
            None => self.show(id),
            Some(refusal) => self.refuse(id, RefusedKind::JobNotRunning, &refusal),
        }
    }

    /// The job that runs on the service, the least urgent one of several, makes way for a queued one.
    fn preempt(&mut self, service: &ServiceName, by: &JobId) -> Answer {
        let (name, by_id) = (service.cast(), by.cast());
        let Some(known) = self.board.cluster().services.get(&name) else {
            return refused(RefusedKind::UnknownService, format!("Unknown service: {service}"));
        };
        let Some(preemptor) = self.board.job(&by_id) else {
            return refused(RefusedKind::UnknownJob, format!("Preemptor job not found: {by}"));
        };
        if preemptor.status != JobStatus::Queued {
            let state = order_state(preemptor.status);
            let text = format!("Preemptor job must be queued, is {}", state.as_str());
            return refused_job(RefusedKind::JobNotQueued, state, text);
        }
        if preemptor.spec.service_type != known.service.service_type {
            let text = format!("a job of type '{}' cannot run on '{service}'", preemptor.spec.service_type);
            return refused(RefusedKind::OtherType, text);
        }
        let running = known.running.iter().filter_map(|place| self.board.cluster().jobs.get(place));
        let victim = running
            .filter(|job| job.run.as_ref().is_some_and(|run| run.interrupt.is_none()))
            .max_by_key(|job| (job.spec.priority, job.place))
            .cloned();
        let Some(victim) = victim else {
            return refused(RefusedKind::NoActiveJob, format!("nothing runs on '{service}'"));
        };
        self.job_event(&by_id, JobEvent::Claimed { service: name });
        self.interrupt(&victim, Interruption::Preempted { by: Some(by_id) });
        let notes = self.board.particulars.notes.get(&victim.spec.id);
        let progress_saved = notes.is_some_and(|notes| notes.has_snapshot || notes.progress.is_some());
        let view = self
            .board
            .job(&victim.spec.id)
            .map_or_else(|| self.board.job_view(&victim), |job| self.board.job_view(job));
        Answer::Preempting { job: Box::new(view), by: by.clone(), progress_saved }
    }

    /// Makes a running job let go because a person asked, not because the core decided it.
    fn interrupt(&mut self, job: &Job, cause: Interruption) {
        let Some(run) = &job.run else { return };
        let grace = i64::try_from(self.config.policy.interrupt_grace_ms).unwrap_or(i64::MAX);
        let deadline = self.now.plus_micros(grace.saturating_mul(1_000));
        let (id, attempt) = (job.spec.id.clone(), job.attempt);
        let what = JobEvent::InterruptRequested { attempt, cause: cause.clone(), deadline };
        if self.job_event(&id, what).is_none() {
            let service = run.service.clone();
            self.draft.effects.push(Effect::Act(Action::Interrupt { job: id, attempt, service, cause, deadline }));
        }
    }

    fn release(&mut self, service: &ServiceName) -> Answer {
        let Some(known) = self.board.cluster().services.get(&service.cast()) else {
            return refused(RefusedKind::UnknownService, format!("Unknown service: {service}"));
        };
        let kind = known.service.service_type.clone();
        let jobs = self.board.cluster().jobs.values();
        let paused = jobs.filter(|job| job.status == JobStatus::Paused && job.spec.service_type == kind);
        let ids: Vec<names::Job> = paused.map(|job| job.spec.id.clone()).collect();
        let released = ids.into_iter().filter(|id| self.job_event(id, JobEvent::Resumed).is_none());
        let released: Vec<names::Job> = released.collect();
        Answer::Released(released.iter().map(As::cast).collect())
    }
}
