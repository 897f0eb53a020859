//! What the control plane's event streams carry: the data of each event, by its name.

use crate::shapes::{Shape, shape};

/// The events of a stream, each with the shape of its data.
pub(crate) type Events = &'static [(&'static str, &'static str)];

/// Everything that happens, as one stream tells it.
const NOTICES: Events = &[
    ("job_submitted", "JobNotice"),
    ("job_started", "JobNotice"),
    ("job_progressed", "JobNotice"),
    ("job_completed", "JobNotice"),
    ("job_failed", "JobNotice"),
    ("job_cancelled", "JobNotice"),
    ("job_expired", "JobNotice"),
    ("job_preempted", "JobNotice"),
    ("job_resumed", "JobNotice"),
    ("job_requeued", "JobNotice"),
    ("job_reprioritised", "JobNotice"),
    ("job_forgotten", "ForgottenNotice"),
    ("service_registered", "ServiceNotice"),
    ("service_removed", "ServiceNotice"),
    ("service_changed", "ServiceNotice"),
    ("node_seen", "NodeNotice"),
    ("node_lost", "NodeNotice"),
    ("leader_changed", "LeaderNotice"),
];

/// What happens to one job: how it stands, then each change, then that it has ended.
const OF_JOB: Events = &[
    ("job", "JobSnapshot"),
    ("job_submitted", "JobNotice"),
    ("job_started", "JobNotice"),
    ("job_progressed", "JobNotice"),
    ("job_completed", "JobNotice"),
    ("job_failed", "JobNotice"),
    ("job_cancelled", "JobNotice"),
    ("job_expired", "JobNotice"),
    ("job_preempted", "JobNotice"),
    ("job_resumed", "JobNotice"),
    ("job_requeued", "JobNotice"),
    ("job_reprioritised", "JobNotice"),
    ("done", "JobDone"),
];

/// The events of an operation; none if it is no stream of the control plane.
pub(super) fn events(operation: &str) -> Events {
    match operation {
        "stream_events" => NOTICES,
        "stream_job_events" => OF_JOB,
        "stream_gpus" => &[("report", "NodeReport"), ("silent", "SilentNode")],
        _ => &[],
    }
}

/// The shapes of all that is told.
pub(crate) const TOLD: &[Shape] = &[
    shape(
        "JobNotice",
        &[
            ("at", "string"),
            ("notice", "string"),
            ("job", "Job"),
            ("service?", "string"),
            ("host?", "string"),
            ("error?", "string?"),
            ("by?", "string?"),
        ],
    ),
    shape("ForgottenNotice", &[("at", "string"), ("notice", "string"), ("id", "string")]),
    shape(
        "ServiceNotice",
        &[
            ("at", "string"),
            ("notice", "string"),
            ("service", "string"),
            ("host?", "string"),
            ("state?", "string"),
            ("because?", "string?"),
        ],
    ),
    shape("NodeNotice", &[("at", "string"), ("notice", "string"), ("node", "string")]),
    shape("LeaderNotice", &[("at", "string"), ("notice", "string"), ("leader", "string"), ("epoch", "integer")]),
    shape("JobSnapshot", &[("notice", "string"), ("job", "Job")]),
    shape("JobDone", &[("job_id", "string"), ("status", "string")]),
    shape(
        "NodeReport",
        &[
            ("node", "string"),
            ("at", "string"),
            ("version", "string"),
            ("gpus", "[object]"),
            ("error", "string?"),
            ("system_total_mb", "any"),
            ("system_available_mb", "any"),
        ],
    ),
    shape("SilentNode", &[("node", "string")]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use domain::control::{NoticeKind, ServiceState};

    /// One of each kind; a new one has to be named here, and then above.
    fn every_kind() -> Vec<NoticeKind> {
        use NoticeKind::{
            JobCancelled, JobCompleted, JobExpired, JobFailed, JobForgotten, JobPreempted, JobProgressed,
            JobReprioritised, JobRequeued, JobResumed, JobStarted, JobSubmitted, LeaderChanged, NodeLost, NodeSeen,
            ServiceChanged, ServiceRegistered, ServiceRemoved,
        };
        let text = String::new;
        let id = || domain::control::JobId::from("j");
        let all = vec![
            JobSubmitted,
            JobStarted,
            JobProgressed,
            JobCompleted,
            JobFailed { error: text() },
            JobCancelled,
            JobExpired,
            JobPreempted { by: None },
            JobResumed,
            JobRequeued { error: None },
            JobReprioritised,
            JobForgotten { id: id() },
            ServiceRegistered,
            ServiceRemoved,
            ServiceChanged { state: ServiceState::Idle, because: None },
            NodeSeen { node: text() },
            NodeLost { node: text() },
            LeaderChanged { leader: text(), epoch: 1 },
        ];
        for kind in &all {
            match kind {
                JobSubmitted
                | JobStarted
                | JobProgressed
                | JobCompleted
                | JobFailed { .. }
                | JobCancelled
                | JobExpired
                | JobPreempted { .. }
                | JobResumed
                | JobRequeued { .. }
                | JobReprioritised
                | JobForgotten { .. }
                | ServiceRegistered
                | ServiceRemoved
                | ServiceChanged { .. }
                | NodeSeen { .. }
                | NodeLost { .. }
                | LeaderChanged { .. } => {}
            }
        }
        all
    }

    #[test]
    fn every_notice_is_described_by_its_name() {
        let names: Vec<String> = every_kind()
            .iter()
            .map(|kind| serde_json::to_value(kind).unwrap()["notice"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, NOTICES.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn what_happens_to_a_job_is_told_of_it_alone_too() {
        let of_jobs = NOTICES.iter().filter(|(_, holds)| *holds == "JobNotice");
        let told = OF_JOB.iter().filter(|(_, holds)| *holds == "JobNotice");
        assert!(of_jobs.eq(told));
    }

    #[test]
    fn every_shape_that_an_event_has_is_there() {
        for (name, holds) in [events("stream_events"), events("stream_job_events"), events("stream_gpus")].concat() {
            assert!(TOLD.iter().any(|shape| shape.name == holds), "{name}: {holds}");
        }
    }
}
