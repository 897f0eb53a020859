//! Notices of jobs, services and nodes in the words that clients of the GPU control plane know.

use super::{Notice, NoticeKind, Priority};
use crate::Time;

/// Characters of a job's id that its notices show.
const SHOWN: usize = 8;
/// Characters of an error that a notice shows.
const LONGEST_ERROR: usize = 500;

fn short(job: &str) -> String {
    job.chars().take(SHOWN).collect()
}

fn cut(error: &str) -> String {
    error.chars().take(LONGEST_ERROR).collect()
}

/// Titles, texts, priorities and tags are those of the contract where it has them.
impl Notice {
    /// A job's attempt began. A passing notice.
    pub fn job_started(job: &str, attempt: u32, service: &str, at: Time) -> Self {
        let title = format!("Job started on {service}");
        let notice = Self::of_job(job, &format!("started:{attempt}"), NoticeKind::JobStarted, at, title, Some(service))
            .saying(format!("Job {} runs, attempt {attempt}.", short(job)))
            .shown(Priority::Low, "hourglass_flowing_sand");
        Self { passing: true, ..notice }
    }

    /// A job has a result.
    pub fn job_completed(job: &str, service: &str, at: Time) -> Self {
        let title = format!("Job completed on {service}");
        Self::of_job(job, "completed", NoticeKind::JobCompleted, at, title, Some(service))
            .saying(format!("Job {} completed successfully.", short(job)))
            .shown(Priority::Default, "white_check_mark")
    }

    /// A job will have no result. `service` is where it was tried last, or its type when it never ran.
    pub fn job_failed(job: &str, service: &str, error: &str, at: Time) -> Self {
        let title = format!("Job failed on {service}");
        Self::of_job(job, "failed", NoticeKind::JobFailed, at, title, Some(service))
            .saying(format!("Job {} failed: {}", short(job), cut(error)))
            .shown(Priority::High, "x")
    }

    /// A job made way: the `count`th time, for another job or because a person asked.
    pub fn job_preempted(job: &str, count: u32, service: &str, by: Option<&str>, at: Time) -> Self {
        let why = by.map_or_else(
            || "by request".to_owned(),
            |other| format!("preempted by higher-priority job {}", short(other)),
        );
        let title = format!("Job preempted on {service}");
        Self::of_job(job, &format!("preempted:{count}"), NoticeKind::JobPreempted, at, title, Some(service))
            .saying(format!("Job {} paused — {why}.", short(job)))
            .shown(Priority::High, "warning")
    }

    /// A paused job goes on after it made way for the `count`th time.
    pub fn job_resumed(job: &str, count: u32, service: &str, at: Time) -> Self {
        let title = format!("Job resumed on {service}");
        Self::of_job(job, &format!("resumed:{count}"), NoticeKind::JobResumed, at, title, Some(service))
            .saying(format!("Paused job {} resumed on {service}.", short(job)))
            .shown(Priority::Default, "arrow_forward")
    }

    /// A job waited longer than it wanted to. `kind` is its type.
    pub fn job_expired(job: &str, kind: &str, at: Time) -> Self {
        Self::of_job(job, "expired", NoticeKind::JobExpired, at, format!("Job expired: {kind}"), None)
            .saying(format!("Job {} waited longer than its time to live and was not run.", short(job)))
            .shown(Priority::High, "hourglass")
    }

    /// A person ended a job. `kind` is its type.
    pub fn job_cancelled(job: &str, kind: &str, at: Time) -> Self {
        Self::of_job(job, "cancelled", NoticeKind::JobCancelled, at, format!("Job cancelled: {kind}"), None)
            .saying(format!("Job {} was cancelled.", short(job)))
            .shown(Priority::Low, "no_entry_sign")
    }

    /// A service cannot be started or does not answer.
    pub fn service_failed(service: &str, why: &str, at: Time) -> Self {
        let id = format!("service:{service}:failed:{}", at.as_micros());
        let notice = Self::new(id, NoticeKind::ServiceFailed, at, format!("Service {service} failed"))
            .saying(cut(why))
            .shown(Priority::High, "rotating_light")
            .on_card(format!("service:{service}"));
        Self { service: Some(service.to_owned()), ..notice }
    }

    /// A node is silent. Until it is heard again, failures on it are not told one by one.
    pub fn node_lost(node: &str, at: Time) -> Self {
        Self::of_node(node, NoticeKind::NodeLost, at, format!("Node {node} is silent"))
            .saying("Its jobs are given to other nodes, or wait until it is heard again.")
            .shown(Priority::Max, "rotating_light")
    }

    /// A silent node is heard again.
    pub fn node_seen(node: &str, at: Time) -> Self {
        Self::of_node(node, NoticeKind::NodeSeen, at, format!("Node {node} is heard again"))
            .shown(Priority::Default, "white_check_mark")
    }

    fn of_node(node: &str, kind: NoticeKind, at: Time, title: String) -> Self {
        let id = format!("node:{node}:{}:{}", kind.as_str(), at.as_micros());
        let notice = Self::new(id, kind, at, title).on_card(format!("node:{node}"));
        Self { node: Some(node.to_owned()), ..notice }
    }

    fn of_job(job: &str, event: &str, kind: NoticeKind, at: Time, title: String, service: Option<&str>) -> Self {
        let notice = Self::new(format!("job:{job}:{event}"), kind, at, title).on_card(format!("job:{job}"));
        Self { job: Some(job.to_owned()), service: service.map(str::to_owned), ..notice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "a6dcb332-1111-4222-8333-444455556666";

    #[test]
    fn notices_of_jobs_say_what_the_contract_says() {
        let at = Time::from_micros(0);
        let by = "619fa9ae-1111-4222-8333-444455556666";
        let rows = [
            (
                Notice::job_completed(JOB, "img", at),
                (3, "white_check_mark", "Job completed on img", "Job a6dcb332 completed successfully."),
            ),
            (
                Notice::job_failed(JOB, "img", "out of memory", at),
                (4, "x", "Job failed on img", "Job a6dcb332 failed: out of memory"),
            ),
            (
                Notice::job_preempted(JOB, 1, "img", Some(by), at),
                (
                    4,
                    "warning",
                    "Job preempted on img",
                    "Job a6dcb332 paused — preempted by higher-priority job 619fa9ae.",
                ),
            ),
            (
                Notice::job_resumed(JOB, 1, "img", at),
                (3, "arrow_forward", "Job resumed on img", "Paused job a6dcb332 resumed on img."),
            ),
        ];
        for (notice, (priority, tag, title, text)) in rows {
            assert_eq!(
                (notice.priority.number(), notice.tags.join(","), &*notice.title, &*notice.text),
                (priority, tag.to_owned(), title, text)
            );
        }
    }

    #[test]
    fn the_same_event_has_the_same_id_and_the_next_one_another() {
        let (then, later) = (Time::from_micros(1), Time::from_micros(2));
        assert_eq!(Notice::job_completed(JOB, "img", then).id, Notice::job_completed(JOB, "img", later).id);
        assert_ne!(
            Notice::job_preempted(JOB, 1, "img", None, then).id,
            Notice::job_preempted(JOB, 2, "img", None, then).id
        );
        assert_ne!(Notice::node_lost("a", then).id, Notice::node_lost("a", later).id);
    }
}
