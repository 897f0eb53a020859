//! The shorter words for events that followers are told.

use super::Desk;
use crate::board::order_state;
use crate::names::{self, As};
use domain::control::{JobState, Notice, NoticeKind};
use placement::{Change, Interruption, JobEvent, Loss, StopReason};

/// What has to be looked up before an event is taken in, because after it is gone.
#[derive(Default)]
pub(super) struct Told {
    /// Why the job was being interrupted.
    cause: Option<Interruption>,
    /// The service it ran on, and that one's node.
    service: Option<names::Service>,
    node: Option<String>,
}

impl Desk {
    pub(super) fn will_tell(&self, change: &Change) -> Told {
        let Change::Job { job, .. } = change else { return Told::default() };
        let run = self.board.job(job).and_then(|job| job.run.as_ref());
        Told {
            cause: run.and_then(|run| run.interrupt.as_ref()).map(|interrupt| interrupt.cause.clone()),
            service: run.map(|run| run.service.clone()),
            node: run.and_then(|run| self.node_of(&run.service)),
        }
    }

    /// The host of a service's container; none for a service that is somewhere else.
    fn node_of(&self, service: &names::Service) -> Option<String> {
        let spot = self.board.cluster().services.get(service)?.container.spot.as_ref()?;
        Some(spot.node.to_string()).filter(|node| node != crate::board::EXTERNAL_NODE)
    }

    pub(super) fn tell_lead(&mut self, leader: &str, epoch: u64) {
        let kind = NoticeKind::LeaderChanged { leader: leader.to_owned(), epoch };
        self.draft.notices.push(Notice { at: self.now, kind, job: None, service: None, host: None });
    }

    pub(super) fn tell(&mut self, change: &Change, told: Told) {
        match change {
            Change::Job { job, what } => self.tell_of_job(job, what, told),
            Change::JobSubmitted { spec } => self.push(NoticeKind::JobSubmitted, Some(&spec.id), None),
            Change::JobForgotten { job } => self.push(NoticeKind::JobForgotten { id: job.cast() }, None, None),
            Change::ServiceRegistered { service } => {
                self.push(NoticeKind::ServiceRegistered, None, Some(&service.name));
            }
            Change::ServiceRemoved { service } => self.push(NoticeKind::ServiceRemoved, None, Some(service)),
            Change::NodeSeen { node, .. } if node.as_str() != crate::board::EXTERNAL_NODE => {
                self.push(NoticeKind::NodeSeen { node: node.to_string() }, None, None);
            }
            Change::NodeLost { node } => self.push(NoticeKind::NodeLost { node: node.to_string() }, None, None),
            Change::StartRequested { service, .. }
            | Change::ContainerFound { service, .. }
            | Change::ContainerReady { service, .. }
            | Change::ContainerUnhealthy { service, .. }
            | Change::SeatTaken { service, .. }
            | Change::SeatLeft { service, .. }
            | Change::ContainerStopped { service, .. } => self.tell_of_service(service, None),
            Change::DrainBegun { service, reason, .. } | Change::StopRequested { service, reason, .. } => {
                self.tell_of_service(service, Some(stop_text(reason)));
            }
            Change::ContainerExited { service, error, .. } => self.tell_of_service(service, Some(error.clone())),
            Change::StartAsked { .. } | Change::DeviceMeasured { .. } | Change::PolicySet { .. } => {}
            Change::StopAsked { service, .. } => self.tell_of_service(service, Some("a person asked".to_owned())),
            Change::NodeSeen { .. } => {}
        }
    }

    fn tell_of_service(&mut self, service: &names::Service, because: Option<String>) {
        if let Some(view) = self.board.service_view(service) {
            self.push(NoticeKind::ServiceChanged { state: view.state, because }, None, Some(service));
        }
    }

    fn tell_of_job(&mut self, id: &names::Job, what: &JobEvent, told: Told) {
        let Some(job) = self.board.job(id) else { return };
        let (state, error) = (order_state(job.status), job.error.clone());
        let end = || match state {
            JobState::Failed => Some(NoticeKind::JobFailed { error: error.clone().unwrap_or_default() }),
            JobState::Cancelled => Some(NoticeKind::JobCancelled),
            JobState::Queued | JobState::Running | JobState::Paused | JobState::Completed | JobState::Expired => None,
        };
        let requeued = |error: Option<String>| NoticeKind::JobRequeued { error };
        let kind = match what {
            JobEvent::Dispatched { .. } => Some(NoticeKind::JobStarted),
            JobEvent::Progressed { .. } => Some(NoticeKind::JobProgressed),
            JobEvent::Completed { .. } => Some(NoticeKind::JobCompleted),
            JobEvent::Resumed => Some(NoticeKind::JobResumed),
            JobEvent::PriorityChanged { .. } => Some(NoticeKind::JobReprioritised),
            JobEvent::Expired => Some(NoticeKind::JobExpired),
            JobEvent::CancelRequested | JobEvent::Failed { .. } => end(),
            JobEvent::AttemptFailed { error, .. } => end().or(Some(requeued(Some(error.clone())))),
            JobEvent::Interrupted { .. } | JobEvent::AttemptLost { .. } => end().or(Some(match &told.cause {
                Some(Interruption::Preempted { by }) => NoticeKind::JobPreempted { by: by.as_ref().map(As::cast) },
                Some(Interruption::TimedOut) => requeued(error.clone()),
                Some(Interruption::Cancelled | Interruption::Drained) | None => requeued(loss_text(what)),
            })),
            JobEvent::InterruptRequested { .. } | JobEvent::Claimed { .. } => None,
        };
        if let Some(kind) = kind {
            self.push_on(kind, Some(id), told.service.as_ref(), told.node);
        }
    }

    fn push(&mut self, kind: NoticeKind, job: Option<&names::Job>, service: Option<&names::Service>) {
        let host = service.and_then(|service| self.node_of(service));
        self.push_on(kind, job, service, host);
    }

    fn push_on(
        &mut self,
        kind: NoticeKind,
        job: Option<&names::Job>,
        service: Option<&names::Service>,
        host: Option<String>,
    ) {
        let job = job.and_then(|id| self.board.job(id)).map(|job| Box::new(self.board.job_view(job)));
        let ran_on = || job.as_ref().and_then(|view| view.service_name.clone());
        let service = service.map(As::cast).or_else(ran_on);
        self.draft.notices.push(Notice { at: self.now, kind, job, service, host });
    }
}

fn loss_text(what: &JobEvent) -> Option<String> {
    let JobEvent::AttemptLost { cause, .. } = what else { return None };
    let text = match cause {
        Loss::ContainerExited => "its container ended while it ran",
        Loss::ContainerStopped => "its container was stopped while it ran",
        Loss::NodeLost => "its node fell silent while it ran",
        Loss::ConnectionLost => "the connection to its service was lost while it ran",
    };
    Some(text.to_owned())
}

fn stop_text(reason: &StopReason) -> String {
    match reason {
        StopReason::Idle => "it had nothing to do".to_owned(),
        StopReason::Evicted { room_for } => format!("'{room_for}' needs its room"),
        StopReason::Asked => "a person asked".to_owned(),
        StopReason::StartTimedOut => "it did not become healthy in time".to_owned(),
        StopReason::Unhealthy => "it stopped answering its health check".to_owned(),
        StopReason::Tainted => "an attempt that was given up may still be at work inside".to_owned(),
        StopReason::HeldByInterrupted { job } => format!("job {job} did not let go of its slot in time"),
    }
}
