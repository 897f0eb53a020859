//! Runs: one waits for a person, one failed, one that nobody's run started has completed.

use super::linked;
use crate::config::Links;
use crate::{NotifierError, metrics};
use bus::{Bus, JournalMessage, Notices};
use domain::notices::{Notice, NoticeKind, Priority};
use domain::{RunStatus, Time, Wait, WaitReason, WorkflowId};
use ledger::{Ledger, LedgerError, Summary};
use serde_json::Value;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a position is remembered while ledgers are being written that say nothing to anybody.
const REMEMBER_EVERY: Duration = Duration::from_secs(1);
/// Characters of a prompt or an error.
const LONGEST: usize = 2_000;
/// Choices that a notice shows.
const CHOICES: usize = 20;

/// Follows the ledgers of all runs.
pub(crate) struct Runs {
    pub(crate) bus: Bus,
    pub(crate) notices: Notices,
    pub(crate) links: Links,
    /// Whether ends that went well are told of.
    pub(crate) completed: bool,
}

impl Runs {
    /// Follows one shard from where it was left, the first time from its end. Saves its place only after what came
    /// before it is stored; notices are stored once by their id, so looking twice is harmless.
    pub(crate) async fn follow(&self, shard: u16, stop: CancellationToken) -> Result<(), NotifierError> {
        let mut saved = match self.notices.position(shard).await? {
            Some(position) => position,
            None => {
                let end = self.bus.shard_end(shard).await?;
                self.notices.save_position(shard, end).await?;
                end
            }
        };
        let mut seen = saved;
        let mut tail = self.bus.follow(shard, saved + 1);
        let mut remember = tokio::time::interval(REMEMBER_EVERY);
        remember.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                _ = remember.tick() => false,
                message = tail.next() => {
                    self.look(&message).await?;
                    seen = message.sequence;
                    continue;
                }
            };
            if seen > saved {
                self.notices.save_position(shard, seen).await?;
                saved = seen;
            }
            if stopping {
                return Ok(());
            }
        }
    }

    async fn look(&self, message: &JournalMessage) -> Result<(), NotifierError> {
        let summary = match Summary::read(&message.run, &message.body) {
            Ok(summary) => summary,
            Err(error) => {
                tracing::error!(%error, run_id = %message.run, "a step is passed over");
                return Ok(());
            }
        };
        let notice = match summary.status {
            RunStatus::Waiting => self.waiting(message, &summary).await?,
            RunStatus::Failed => Some(failed(&summary)),
            RunStatus::Completed => (self.completed && summary.parent_run_id.is_none()).then(|| completed(&summary)),
            RunStatus::Running | RunStatus::Cancelled => None,
        };
        if let Some(notice) = notice
            && self.notices.publish(&linked(notice, &self.links)).await?
        {
            ::metrics::counter!(metrics::STORED, "source" => "runs").increment(1);
        }
        Ok(())
    }

    /// Asks the run's head, which has the whole question; who was answered meanwhile waits for nobody.
    async fn waiting(&self, message: &JournalMessage, summary: &Summary) -> Result<Option<Notice>, NotifierError> {
        if summary.waiting.as_ref().is_none_or(|wait| wait.reason != WaitReason::User) {
            return Ok(None);
        }
        let head = match Ledger::new(&self.bus, &message.plane).head(&message.run).await {
            Ok(head) => head,
            Err(error @ (LedgerError::Unreadable { .. } | LedgerError::TooLarge { .. })) => {
                tracing::error!(%error, run_id = %message.run, "a question is passed over");
                None
            }
            Err(error @ LedgerError::Bus(_)) => return Err(error.into()),
        };
        let Some(state) = head.map(|head| head.state).filter(|state| state.status == RunStatus::Waiting) else {
            return Ok(None);
        };
        // Executed nodes are counted, so the same node asking in the next pass of a loop is another question.
        let question = state.node_seq;
        let wait = state.waiting.as_ref().filter(|wait| wait.reason == WaitReason::User);
        Ok(wait.map(|wait| asked(summary, question, wait)))
    }
}

fn of_run(summary: &Summary, event: &str, kind: NoticeKind, at: Time, title: String) -> Notice {
    let run = &summary.run_id;
    let notice = Notice::new(format!("run:{run}:{event}"), kind, at, title).on_card(format!("run:{run}"));
    Notice { run: Some(run.clone()), ..notice }
}

fn asked(summary: &Summary, question: u64, wait: &Wait) -> Notice {
    let title = format!("Waiting for you: {}", name(&summary.workflow_id));
    let mut text = cut(wait.prompt.as_deref().unwrap_or("The run waits for an answer."));
    for choice in wait.choices.iter().flatten().take(CHOICES) {
        text.push_str("\n• ");
        text.push_str(&cut(&words(choice)));
    }
    of_run(summary, &format!("asked:{question}"), NoticeKind::RunWaiting, summary.updated_at, title)
        .saying(text)
        .shown(Priority::High, "question")
}

fn failed(summary: &Summary) -> Notice {
    let title = format!("Run failed: {}", name(&summary.workflow_id));
    of_run(summary, "failed", NoticeKind::RunFailed, summary.updated_at, title)
        .saying(cut(summary.error.as_deref().unwrap_or("No reason was given.")))
        .shown(Priority::High, "x")
}

fn completed(summary: &Summary) -> Notice {
    let title = format!("Run completed: {}", name(&summary.workflow_id));
    let micros = summary.updated_at.as_micros().saturating_sub(summary.created_at.as_micros());
    let seconds = Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs();
    of_run(summary, "completed", NoticeKind::RunCompleted, summary.updated_at, title)
        .saying(format!("It took {seconds} s."))
        .shown(Priority::Default, "white_check_mark")
}

/// A workflow as people know it: without the version that its id may carry.
fn name(workflow: &WorkflowId) -> String {
    match workflow.as_str().split_once('@') {
        Some((bundle, rest)) => {
            let flow = rest.split_once(':').map_or("", |(_, flow)| flow);
            if flow.is_empty() || flow == bundle { bundle.to_owned() } else { format!("{bundle}:{flow}") }
        }
        None => workflow.to_string(),
    }
}

/// A choice as a person would say it.
fn words(choice: &Value) -> String {
    let named = ["label", "text", "value"].iter().find_map(|key| choice.get(key)).unwrap_or(choice);
    named.as_str().map_or_else(|| named.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_named_as_people_know_it() {
        for (id, shown) in [
            ("hello@1.0.0:hello", "hello"),
            ("review@2.1.0:approve", "review:approve"),
            ("scheduled:1234", "scheduled:1234"),
        ] {
            assert_eq!(name(&WorkflowId::new(id)), shown);
        }
    }

    #[test]
    fn a_choice_is_said_in_words() {
        for (choice, said) in [
            (serde_json::json!("yes"), "yes"),
            (serde_json::json!({"label": "Ship it", "value": 1}), "Ship it"),
            (serde_json::json!(3), "3"),
        ] {
            assert_eq!(words(&choice), said);
        }
    }
}
