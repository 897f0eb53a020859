//! What is reported of attempts. The attempt's number is the fence: what an older one says changes nothing.

use super::Desk;
use crate::names;
use crate::step::Entry;
use domain::Object;
use placement::{Change, JobEvent, Loss, State};

/// Something that became of an attempt.
#[derive(Debug)]
pub(crate) struct AttemptReport {
    pub(crate) job: names::Job,
    pub(crate) attempt: u32,
    pub(crate) what: Report,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its answer is stored.
    Completed,
    /// It has none.
    Failed {
        error: String,
        /// Whether the service could not be reached, or was lost in the middle.
        unreachable: bool,
    },
    /// It has let go of its slot.
    LetGo {
        /// Whether a snapshot of it was stored.
        snapshot: bool,
    },
    /// Nobody waits for it any more, but it may still be at work.
    Lost,
    /// It says how far it is.
    Progress(Object),
}

impl Desk {
    /// Takes in a report.
    pub(crate) fn report(&mut self, report: AttemptReport) {
        let AttemptReport { job, attempt, what } = report;
        let refusal = match what {
            Report::Completed => self.job_event(&job, JobEvent::Completed { attempt }),
            Report::Failed { error, unreachable } => {
                if unreachable {
                    self.unreachable(&job, attempt);
                }
                self.job_event(&job, JobEvent::AttemptFailed { attempt, error })
            }
            Report::LetGo { snapshot } => {
                if snapshot && self.is_current(&job, attempt) {
                    self.note(Entry::Snapshot { job: job.clone() });
                }
                self.job_event(&job, JobEvent::Interrupted { attempt })
            }
            Report::Lost => self.job_event(&job, JobEvent::AttemptLost { attempt, cause: Loss::ConnectionLost }),
            Report::Progress(progress) => self.progress(&job, attempt, progress, false),
        };
        if let Some(refusal) = refusal {
            tracing::debug!(%job, attempt, %refusal, "a report changes nothing");
        }
    }

    fn is_current(&self, job: &names::Job, attempt: u32) -> bool {
        self.board.job(job).is_some_and(|job| job.attempt == attempt && job.run.is_some())
    }

    /// A service that cannot be reached gets no more jobs until it answers its health check.
    fn unreachable(&mut self, job: &names::Job, attempt: u32) {
        if !self.is_current(job, attempt) {
            return;
        }
        let run = self.board.job(job).and_then(|job| job.run.as_ref());
        let Some((service, generation)) = run.map(|run| (run.service.clone(), run.generation)) else { return };
        let known = self.board.cluster().services.get(&service);
        if known.is_some_and(|known| matches!(known.container.state, State::Ready { .. })) {
            self.happened(Change::ContainerUnhealthy { service, generation });
        }
    }

    /// An attempt's progress, as it is shown, with the time added.
    pub(super) fn progress(
        &mut self,
        job: &names::Job,
        attempt: u32,
        mut progress: Object,
        saved: bool,
    ) -> Option<placement::Refusal> {
        let done_permille = done_permille(&progress);
        let refusal = self.job_event(job, JobEvent::Progressed { attempt, done_permille, saved });
        if refusal.is_none() {
            progress.insert("updated_at".to_owned(), self.now.to_string().into());
            self.note(Entry::Progress { job: job.clone(), progress });
            if saved {
                self.note(Entry::Snapshot { job: job.clone() });
            }
        }
        refusal
    }
}

/// How far a job is, where it says so in one of the usual ways.
fn done_permille(progress: &Object) -> Option<u16> {
    let number = |key: &str| progress.get(key).and_then(serde_json::Value::as_f64);
    let share = number("progress")
        .map(|value| if value > 1.0 { value / 100.0 } else { value })
        .or_else(|| number("percent").map(|value| value / 100.0))
        .or_else(|| Some(number("step")? / number("total").filter(|total| *total > 0.0)?))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    let permille = (share.clamp(0.0, 1.0) * 1000.0) as u16;
    Some(permille)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_in_the_usual_ways() {
        let of = |text: &str| done_permille(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"progress":0.5}"#), Some(500));
        assert_eq!(of(r#"{"percent":25}"#), Some(250));
        assert_eq!(of(r#"{"step":3,"total":4}"#), Some(750));
        assert_eq!(of(r#"{"step":3,"total":0}"#), None);
        assert_eq!(of(r#"{"note":"x"}"#), None);
    }
}
