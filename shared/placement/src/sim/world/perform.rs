//! Carries out what was decided, and keeps the figures.

use super::{Broken, Decider, Happening, World};
use crate::{Action, Change, Cluster, Engine, Event, JobEvent, JobId, JobStatus, outstanding};

/// How long a message takes.
const HOP_MS: u64 = 2;

impl World {
    /// Sends what an action asks for. What only changes the state needs nothing sent.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Start { service, spot, generation } => {
                self.send(HOP_MS, Happening::AgentStart { service, spot, generation });
            }
            Action::Stop { service, generation, .. } => self.send(HOP_MS, Happening::AgentStop { service, generation }),
            Action::Dispatch { job, attempt, service, generation, .. } => {
                self.send(HOP_MS, Happening::ServiceGets { job, attempt, service, generation });
            }
            Action::Interrupt { job, attempt, service, .. } => {
                self.send(HOP_MS, Happening::ServiceInterrupt { job, attempt, service });
            }
            Action::Drain { .. }
            | Action::Claim { .. }
            | Action::Resume { .. }
            | Action::Requeue { .. }
            | Action::Expire { .. }
            | Action::Fail { .. } => {}
        }
    }

    pub(super) fn note(&mut self, action: &Action) {
        match action {
            Action::Start { .. } => self.tally.report.swaps += 1,
            Action::Dispatch { job, attempt, .. } => {
                if let (1, Some(job)) = (*attempt, self.cluster().job(job)) {
                    let waited = crate::clock::since_ms(job.submitted_at, self.time());
                    self.tally.waits_ms.push(waited);
                }
                self.began.insert(job.clone(), self.now);
            }
            Action::Interrupt { cause: crate::Interruption::Preempted { .. }, .. } => {
                self.tally.report.preemptions += 1
            }
            Action::Requeue { job, .. } => self.lose(&job.clone()),
            Action::Interrupt { .. }
            | Action::Stop { .. }
            | Action::Drain { .. }
            | Action::Claim { .. }
            | Action::Resume { .. }
            | Action::Expire { .. }
            | Action::Fail { .. } => {}
        }
    }

    /// Keeps the figures of an attempt that an event is about to end.
    pub(super) fn before(&mut self, event: &Event) {
        let Change::Job { job, what } = &event.change else {
            return;
        };
        let current =
            self.cluster().job(job).is_some_and(|job| what.attempt() == Some(job.attempt) && job.run.is_some());
        if !current {
            return;
        }
        match what {
            JobEvent::Completed { .. } => {
                if let Some(began) = self.began.remove(job) {
                    self.tally.useful_ms += u64::try_from((self.now - began) / 1_000).unwrap_or(0);
                }
            }
            JobEvent::Interrupted { .. } | JobEvent::AttemptFailed { .. } | JobEvent::AttemptLost { .. } => {
                self.lose(&job.clone());
            }
            JobEvent::Dispatched { .. }
            | JobEvent::Progressed { .. }
            | JobEvent::InterruptRequested { .. }
            | JobEvent::Claimed { .. }
            | JobEvent::Resumed
            | JobEvent::PriorityChanged { .. }
            | JobEvent::CancelRequested
            | JobEvent::Expired
            | JobEvent::Failed { .. } => {}
        }
    }

    fn lose(&mut self, job: &JobId) {
        if let Some(began) = self.began.remove(job) {
            self.tally.report.lost_work_ms += u64::try_from((self.now - began) / 1_000).unwrap_or(0);
        }
    }

    /// Counts how jobs ended; answers when the last did.
    pub(super) fn count_ends(&mut self) -> i64 {
        let ends: Vec<_> = self.cluster().jobs.values().map(|job| (job.status, job.ended_at)).collect();
        let report = &mut self.tally.report;
        for (status, _) in &ends {
            match status {
                JobStatus::Completed => report.completed += 1,
                JobStatus::Failed => report.failed += 1,
                JobStatus::Cancelled => report.cancelled += 1,
                JobStatus::Expired => report.expired += 1,
                JobStatus::Queued | JobStatus::Running | JobStatus::Paused => {}
            }
        }
        ends.iter().filter_map(|(_, at)| at.map(domain::Time::as_micros)).max().unwrap_or(0)
    }

    /// The log must leave the very state that was decided from.
    pub(super) fn compare_replay(&self) -> Result<(), Broken> {
        if Cluster::replay(&self.log) != *self.cluster() {
            return Err(self.broken("a replay of the log leaves another state".to_owned()));
        }
        if self.knobs.compare && !(survives_json(&self.log) && survives_json(self.cluster())) {
            return Err(self.broken("the log or the state is another once it was written and read".to_owned()));
        }
        Ok(())
    }

    /// The scheduler dies: what it knew is replayed, what it had announced is done again, what it waited for is lost.
    pub(super) fn restart_scheduler(&mut self) -> Result<(), Broken> {
        self.compare_replay()?;
        self.tally.report.replays += 1;
        let cluster = Cluster::replay(&self.log);
        let owed = outstanding(&cluster);
        let now = self.time();
        if let Decider::Gantry(engine) = &mut self.decider {
            **engine = Engine::new(cluster, now);
        }
        for action in owed {
            // An answer that only the dead scheduler waited for is lost; half of the services can be asked again.
            if let (Action::Dispatch { job, attempt, .. }, true) = (&action, self.chance.percent(50)) {
                let what = JobEvent::AttemptLost { attempt: *attempt, cause: crate::Loss::ConnectionLost };
                self.take_in(Change::Job { job: job.clone(), what })?;
            } else {
                self.perform(action);
            }
        }
        self.on_time()
    }
}

fn survives_json<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(value: &T) -> bool {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str::<T>(&text).is_ok_and(|read| read == *value)
}
