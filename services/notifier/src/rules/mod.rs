//! Decisions without clock or IO: who is told what, what is kept back, what goes together, and when to try again.

pub(crate) mod combine;
pub(crate) mod groups;
pub(crate) mod retry;
pub(crate) mod routes;

use domain::Time;
use domain::notices::{Notice, NoticeKind};
use std::time::Duration;

/// Whether nobody wants to be told any more, because it happened too long ago.
pub(crate) fn is_stale(notice: &Notice, now: Time, most: Duration) -> bool {
    let age = now.as_micros().saturating_sub(notice.at.as_micros());
    u64::try_from(age).is_ok_and(|age| u128::from(age) > most.as_micros())
}

/// Whether a notice is only to be expected when its node is down, so that the node's own notice says it all.
pub(crate) fn can_be_silenced(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::JobFailed | NoticeKind::JobPreempted | NoticeKind::ServiceFailed => true,
        NoticeKind::RunWaiting
        | NoticeKind::RunFailed
        | NoticeKind::RunCompleted
        | NoticeKind::JobStarted
        | NoticeKind::JobCompleted
        | NoticeKind::JobResumed
        | NoticeKind::JobExpired
        | NoticeKind::JobCancelled
        | NoticeKind::NodeLost
        | NoticeKind::NodeSeen
        | NoticeKind::Test => false,
    }
}

/// Whether a notice is silenced by what was last told of its node.
pub(crate) fn is_silenced(notice: &Notice, last_of_node: Option<&Notice>) -> bool {
    can_be_silenced(notice.kind)
        && last_of_node.is_some_and(|last| last.kind == NoticeKind::NodeLost && last.node == notice.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_node_silences_failures_on_it_and_nothing_else() {
        let at = Time::from_micros(0);
        let on = |node: &str, notice: Notice| Notice { node: Some(node.to_owned()), ..notice };
        let lost = Notice::node_lost("a", at);
        let seen = Notice::node_seen("a", at);
        let failed = on("a", Notice::job_failed("j", "img", "gone", at));
        let elsewhere = on("b", Notice::job_failed("j", "img", "gone", at));
        let nowhere = Notice::job_failed("j", "img", "gone", at);
        let done = on("a", Notice::job_completed("j", "img", at));
        let service = on("a", Notice::service_failed("img", "gone", at));
        for (notice, last, silenced) in [
            (&failed, Some(&lost), true),
            (&service, Some(&lost), true),
            (&failed, Some(&seen), false),
            (&failed, None, false),
            (&elsewhere, Some(&lost), false),
            (&nowhere, Some(&lost), false),
            (&done, Some(&lost), false),
            (&lost, Some(&lost), false),
        ] {
            assert_eq!(is_silenced(notice, last), silenced, "{notice:?} after {last:?}");
        }
    }

    #[test]
    fn a_notice_is_stale_only_after_its_time() {
        let notice = Notice::job_completed("j", "img", Time::from_micros(10_000_000));
        let most = Duration::from_secs(5);
        for (now, stale) in [(0, false), (15_000_000, false), (15_000_001, true)] {
            assert_eq!(is_stale(&notice, Time::from_micros(now), most), stale, "{now}");
        }
    }
}
