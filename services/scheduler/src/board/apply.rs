//! What entries leave beside the cluster.

use super::{ANSWERS_KEPT, Particulars};
use crate::names;
use crate::step::Entry;
use domain::control::Answer;
use placement::{Change, Cluster, Event, JobEvent};

impl Particulars {
    /// Takes in an entry; `cluster` is what it left.
    pub(crate) fn apply(&mut self, entry: &Entry, cluster: &Cluster) {
        match entry {
            Entry::Event(event) => self.apply_event(event, cluster),
            Entry::Notes { job, notes } => {
                self.notes.insert(job.clone(), (**notes).clone());
            }
            Entry::Progress { job, progress } => {
                if let Some(notes) = self.notes.get_mut(job) {
                    notes.progress = Some(progress.clone());
                }
            }
            Entry::Snapshot { job } => {
                if let Some(notes) = self.notes.get_mut(job) {
                    notes.has_snapshot = true;
                }
            }
            Entry::Service { record } => {
                self.services.insert(names::Service::new(record.name.as_str()), (**record).clone());
            }
            Entry::Lead { leader } => self.leader.clone_from(leader),
        }
    }

    fn apply_event(&mut self, event: &Event, cluster: &Cluster) {
        match &event.change {
            Change::ServiceRemoved { service } => {
                self.services.remove(service);
            }
            Change::JobForgotten { job } => {
                self.notes.remove(job);
                // Nearly always it is the oldest.
                if self.ended.first().is_some_and(|(_, id)| id == job) {
                    self.ended.pop_first();
                } else {
                    self.ended.retain(|(_, id)| id != job);
                }
            }
            Change::Job { job, what } => {
                if let Some(notes) = self.notes.get_mut(job) {
                    match what {
                        JobEvent::Dispatched { service, .. } => {
                            notes.ran_on = Some(service.clone());
                            notes.started_at = Some(event.at);
                        }
                        JobEvent::Resumed => notes.started_at = None,
                        JobEvent::Progressed { .. }
                        | JobEvent::InterruptRequested { .. }
                        | JobEvent::Claimed { .. }
                        | JobEvent::Interrupted { .. }
                        | JobEvent::Completed { .. }
                        | JobEvent::AttemptFailed { .. }
                        | JobEvent::AttemptLost { .. }
                        | JobEvent::PriorityChanged { .. }
                        | JobEvent::CancelRequested
                        | JobEvent::Expired
                        | JobEvent::Failed { .. } => {}
                    }
                }
                if let Some(at) = cluster.job(job).and_then(|job| job.ended_at) {
                    self.ended.insert((at, job.clone()));
                }
            }
            Change::PolicySet { .. }
            | Change::SeatTaken { .. }
            | Change::SeatLeft { .. }
            | Change::ServiceRegistered { .. }
            | Change::NodeSeen { .. }
            | Change::NodeLost { .. }
            | Change::DeviceMeasured { .. }
            | Change::StartRequested { .. }
            | Change::ContainerFound { .. }
            | Change::ContainerReady { .. }
            | Change::ContainerUnhealthy { .. }
            | Change::DrainBegun { .. }
            | Change::StopRequested { .. }
            | Change::ContainerStopped { .. }
            | Change::ContainerExited { .. }
            | Change::StartAsked { .. }
            | Change::StopAsked { .. }
            | Change::JobSubmitted { .. } => {}
        }
    }

    /// Keeps what became of an order.
    pub(crate) fn answer(&mut self, sequence: u64, answer: Answer) {
        self.answers.insert(sequence, answer);
        while self.answers.len() > ANSWERS_KEPT {
            self.answers.pop_first();
        }
    }
}
