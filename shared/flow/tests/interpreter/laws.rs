//! Laws of steps: commands, pauses, timers, repetition.

use crate::by_hand::{asking, delaying, modelling, statuses};
use domain::{CommandKind, InboxMessage, RunStatus, StepStatus, Verdict, WaitReason};
use flow::{Effect, Step};
use serde_json::json;

#[test]
fn a_step_that_is_repeated_gives_the_same_bytes() {
    let run = asking();
    let bytes = |step: Step| serde_json::to_string(&(step.state, step.records, step.effects)).unwrap();
    assert_eq!(bytes(run.try_step(&[])), bytes(run.try_step(&[])));
}

#[test]
fn a_step_without_news_changes_nothing() {
    let mut run = asking();
    assert!(run.step(&[]).changed);
    let before = run.state.clone();
    run.now = run.now.plus_micros(1);
    assert!(!run.step(&[InboxMessage::Continue]).changed);
    assert_eq!(run.state, before);
}

#[test]
fn a_command_is_applied_once_however_often_it_comes() {
    let mut run = asking();
    run.step(&[]);
    let answer = run.command(CommandKind::Resume, json!({"payload": {"response": "yes"}}));
    let step = run.step(&[answer.clone(), answer.clone()]);
    assert_eq!(step.outcomes, vec![(0, Verdict::Applied { note: None })]);
    assert_eq!(run.state.output, Some(json!({"answer": "yes", "success": true})));
    let again = run.step(&[answer]);
    assert!(again.records.is_empty() && again.outcomes.is_empty() && !again.changed);
}

#[test]
fn an_answer_under_another_key_is_refused_and_leaves_the_wait() {
    let mut run = asking();
    run.step(&[]);
    let wrong = run.command(CommandKind::Resume, json!({"payload": {"response": "x"}, "wait_key": "user:other"}));
    let step = run.step(&[wrong]);
    assert!(matches!(&step.outcomes[0].1, Verdict::Refused { reason } if reason.contains("user:other")));
    assert_eq!(run.state.status, RunStatus::Waiting);
}

#[test]
fn a_cancelled_run_takes_no_late_result() {
    let mut run = modelling();
    run.step(&[]);
    let late = run.done(Ok(json!({"content": "late"})));
    let cancel = run.command(CommandKind::Cancel, json!({"reason": "enough"}));
    let step = run.step(&[cancel]);
    assert_eq!(statuses(&step), vec![(StepStatus::Completed, Some("emit_event".to_owned()))]);
    assert!(matches!(&step.effects[0], Effect::ReportEnd { end, .. } if end.status == RunStatus::Cancelled));
    assert_eq!(run.state.error.as_deref(), Some("enough"));
    assert!(run.step(&[late]).records.is_empty());
}

#[test]
fn a_result_that_comes_while_paused_waits_for_the_resume() {
    let mut run = modelling();
    run.step(&[]);
    let pause = run.command(CommandKind::Pause, json!({"reason": "hold"}));
    run.step(&[pause]);
    let wait = run.state.waiting.clone().unwrap();
    assert_eq!((wait.reason, wait.wait_key.as_deref()), (WaitReason::User, Some("pause:run")));
    let done = run.done(Ok(json!({"content": "pong"})));
    assert!(run.step(&[done.clone(), done]).records.is_empty());
    assert!(run.state.pending.is_none() && run.state.control.held.len() == 1);
    let resume = run.command(CommandKind::Resume, json!({}));
    let step = run.step(&[resume]);
    assert_eq!(statuses(&step)[0], (StepStatus::Completed, Some("llm_call".to_owned())));
    assert_eq!(run.state.output, Some(json!({"text": "pong", "success": true})));
}

#[test]
fn a_run_that_waits_for_a_person_is_not_paused() {
    let mut run = asking();
    run.step(&[]);
    let pause = run.command(CommandKind::Pause, json!({}));
    let step = run.step(&[pause]);
    assert!(matches!(step.outcomes[0].1, Verdict::Applied { note: Some(_) }));
    assert!(!run.state.control.paused);
}

#[test]
fn only_the_armed_timer_ends_a_delay() {
    let mut run = delaying();
    let step = run.step(&[]);
    let Effect::ArmTimer { timer, at } = step.effects[0].clone() else { panic!("no timer was armed") };
    assert_eq!(at, run.now.plus_micros(5_000_000));
    run.step(&[InboxMessage::TimerFired { timer: "another".to_owned() }]);
    assert_eq!(run.state.status, RunStatus::Waiting);
    run.now = at;
    let step = run.step(&[InboxMessage::TimerFired { timer: timer.clone() }]);
    assert_eq!(step.records[0].effect, None, "a delay that is over leaves no record of its own");
    assert_eq!(run.state.status, RunStatus::Completed);
    assert!(run.step(&[InboxMessage::TimerFired { timer }]).records.is_empty());
}

#[test]
fn an_answered_delay_cancels_its_timer() {
    let mut run = delaying();
    run.step(&[]);
    let answer = run.command(CommandKind::Resume, json!({"payload": {}}));
    let step = run.try_step(&[answer]);
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::CancelTimer { .. })));
    assert_eq!(step.state.timer, None);
}

#[test]
fn a_run_that_is_ended_from_outside_says_why_and_stays_ended() {
    let run = asking();
    let step = flow::fail(run.state, "RunnerError: crashed 5 times", run.now);
    assert_eq!(step.records.len(), 1);
    assert_eq!(step.records[0].error.as_deref(), Some("RunnerError: crashed 5 times"));
    assert_eq!(step.state.status, RunStatus::Failed);
    assert!(flow::fail(step.state, "again", run.now).records.is_empty());
}
