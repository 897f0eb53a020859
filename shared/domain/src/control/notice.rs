//! What is told of jobs and services to whoever follows: the notifier, event streams, read models.

use super::{JobId, JobView, ServiceName, ServiceState};
use crate::Time;
use serde::{Deserialize, Serialize};

/// Something that happened, stored with the events that it is a shorter word for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub kind: NoticeKind,
    /// The job after it, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobView>>,
    /// The service that it is about, or that the job runs or ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The node that this happened on, if it happened on one. Not `node`: the kinds that are about one say so by that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum NoticeKind {
    /// A job was accepted.
    JobSubmitted,
    /// An attempt began.
    JobStarted,
    /// An attempt said how far it is.
    JobProgressed,
    /// A job has a result.
    JobCompleted,
    /// A job will have none.
    JobFailed {
        /// Why.
        error: String,
    },
    /// A person ended a job.
    JobCancelled,
    /// A job waited longer than it wanted to.
    JobExpired,
    /// A job made way.
    JobPreempted {
        /// For which; none when a person asked.
        by: Option<JobId>,
    },
    /// A paused job is back in the queue.
    JobResumed,
    /// An attempt ended without a result, and the job is back in the queue.
    JobRequeued {
        /// Why.
        error: Option<String>,
    },
    /// A job's priority was changed.
    JobReprioritised,
    /// An ended job is not remembered any more.
    JobForgotten {
        /// Which.
        id: JobId,
    },
    /// A service was registered or its registration changed.
    ServiceRegistered,
    /// A registration is gone.
    ServiceRemoved,
    /// A service is in another state.
    ServiceChanged {
        /// Which.
        state: ServiceState,
        /// Why, where there is something to say.
        because: Option<String>,
    },
    /// A node is heard, for the first time or again.
    NodeSeen {
        /// Which.
        node: String,
    },
    /// A node is silent.
    NodeLost {
        /// Which.
        node: String,
    },
    /// Another scheduler leads.
    LeaderChanged {
        /// Which.
        leader: String,
        /// Its epoch.
        epoch: u64,
    },
}

impl NoticeKind {
    /// Whether it is about a job that has just ended: what callbacks are for.
    pub fn is_job_end(&self) -> bool {
        matches!(self, Self::JobCompleted | Self::JobFailed { .. } | Self::JobCancelled | Self::JobExpired)
    }
}
