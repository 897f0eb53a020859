//! Jobs, services and nodes: what the scheduler tells becomes notices, and the end of a job a callback.

use super::linked;
use crate::config::Links;
use crate::{NotifierError, metrics};
use bus::control::NoticeDelivery;
use bus::{Bus, BusError, Notices};
use domain::control::{JobState, JobView, Notice as Told, NoticeKind as What, ServiceState};
use domain::notices::{Callback, CallbackBody, Notice};
use tokio_util::sync::CancellationToken;

/// The durable consumer of the control log.
const CONSUMER: &str = "notifier";
/// Steps that wait here unprocessed.
const PREFETCH: usize = 16;

/// Follows the control log.
pub(crate) struct Control {
    pub(crate) bus: Bus,
    pub(crate) notices: Notices,
    pub(crate) links: Links,
    /// Whether anybody is told of anything; callbacks are sent in any case.
    pub(crate) telling: bool,
}

impl Control {
    /// Follows it until the service stops. A step is acknowledged when all that follows from it is stored.
    pub(crate) async fn follow(&self, stop: CancellationToken) -> Result<(), NotifierError> {
        let mut feed = self.bus.notice_feed(CONSUMER, PREFETCH);
        loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                delivery = feed.next() => delivery,
            };
            self.take(&delivery).await?;
            delivery.ack().await;
        }
    }

    async fn take(&self, delivery: &NoticeDelivery) -> Result<(), BusError> {
        for told in &delivery.notices {
            match self.tell(told).await {
                // What cannot be stored at all, such as a result at the edge of what a message holds, must not keep
                // everything behind it waiting.
                Err(error) if !error.is_transient() => {
                    tracing::error!(%error, sequence = delivery.sequence, "a notice or callback is passed over");
                }
                told => told?,
            }
        }
        Ok(())
    }

    async fn tell(&self, told: &Told) -> Result<(), BusError> {
        if told.kind.is_job_end()
            && let Some(job) = &told.job
            && let Some(url) = &job.callback_url
        {
            self.notices.call_back(self.callback(told, job, url).await?).await?;
        }
        if let Some(notice) = notice(told).filter(|_| self.telling)
            && self.notices.publish(&linked(notice, &self.links)).await?
        {
            ::metrics::counter!(metrics::STORED, "source" => "control").increment(1);
        }
        Ok(())
    }

    /// The result is read where it is stored; the log carries only that there is one.
    async fn callback(&self, told: &Told, job: &JobView, url: &str) -> Result<Callback, BusError> {
        let result = match job.status {
            JobState::Completed => self.bus.job_documents().end(&job.id).await?.map(|end| end.result),
            JobState::Queued
            | JobState::Running
            | JobState::Paused
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Expired => None,
        };
        let body = CallbackBody {
            job_id: job.id.to_string(),
            status: job.status.as_str().to_owned(),
            result,
            error: job.error.clone().filter(|_| job.status != JobState::Completed),
            timestamp: job.completed_at.unwrap_or(told.at),
        };
        Ok(Callback { job: job.id.to_string(), url: url.to_owned(), body })
    }
}

/// What people are told of it, if anything. Failures know their node, so that a silent one can speak for them.
fn notice(told: &Told) -> Option<Notice> {
    let notice = said(told)?;
    Some(Notice { node: notice.node.clone().or_else(|| told.host.clone()), ..notice })
}

fn said(told: &Told) -> Option<Notice> {
    let at = told.at;
    let of_job = |build: &dyn Fn(&JobView, &str) -> Notice| {
        told.job.as_ref().map(|job| {
            let service = told.service.as_ref().or(job.service_name.as_ref());
            build(job, service.map_or(job.service_type.as_str(), |service| service.as_str()))
        })
    };
    match &told.kind {
        What::JobStarted => of_job(&|job, on| Notice::job_started(job.id.as_str(), job.attempts, on, at)),
        What::JobCompleted => of_job(&|job, on| Notice::job_completed(job.id.as_str(), on, at)),
        What::JobFailed { error } => of_job(&|job, on| Notice::job_failed(job.id.as_str(), on, error, at)),
        What::JobPreempted { by } => of_job(&|job, on| {
            let by = by.as_ref().map(|by| by.as_str());
            Notice::job_preempted(job.id.as_str(), job.preempt_count, on, by, at)
        }),
        What::JobResumed => of_job(&|job, on| Notice::job_resumed(job.id.as_str(), job.preempt_count, on, at)),
        What::JobExpired => of_job(&|job, _| Notice::job_expired(job.id.as_str(), job.service_type.as_str(), at)),
        What::JobCancelled => of_job(&|job, _| Notice::job_cancelled(job.id.as_str(), job.service_type.as_str(), at)),
        What::ServiceChanged { state: ServiceState::Unhealthy, because } => told.service.as_ref().map(|service| {
            let why = because.as_deref().unwrap_or("It does not answer its health check.");
            Notice::service_failed(service.as_str(), why, at)
        }),
        What::NodeLost { node } => Some(Notice::node_lost(node, at)),
        What::NodeSeen { node } => Some(Notice::node_seen(node, at)),
        What::JobSubmitted
        | What::JobProgressed
        | What::JobRequeued { .. }
        | What::JobReprioritised
        | What::JobForgotten { .. }
        | What::ServiceRegistered
        | What::ServiceRemoved
        | What::ServiceChanged { .. }
        | What::LeaderChanged { .. } => None,
    }
}
