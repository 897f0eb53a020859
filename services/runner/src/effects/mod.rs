//! Performing effects, one kind per file. Each may be performed twice without harm.

mod children;
mod events;
mod model;
mod slow;

pub(crate) use events::{deliver, forget_wait};
pub(crate) use model::ModelClient;
pub(crate) use slow::{Begun, Slow};

use crate::RunnerError;
use crate::flows::Flows;
use crate::run::Runner;
use bus::Delivery;
use domain::{ChildEnd, InboxMessage, RunStatus};
use flow::Effect;
use ledger::Head;

/// Effects of one lane are performed in order, lanes side by side: what reaches one run, or one timer, and all events.
pub(crate) fn lane(effect: &Effect) -> &str {
    match effect {
        Effect::StartChild { child, .. } | Effect::ForwardCommand { child, .. } => child.as_str(),
        Effect::ReportEnd { parent, .. } => parent.as_str(),
        Effect::ArmTimer { timer, .. } | Effect::CancelTimer { timer } => timer,
        Effect::EmitEvent { .. }
        | Effect::DeliverEvent { .. }
        | Effect::CallModel { .. }
        | Effect::CallTools { .. }
        | Effect::Continue => "",
    }
}

/// What a run hears when an effect can never be performed, for it must not wait for it.
pub(crate) fn given_up(bell: &Delivery, effect: &Effect, error: &RunnerError) -> Option<InboxMessage> {
    tracing::error!(%error, run_id = %bell.run, "an effect is given up");
    let error = format!("the effect cannot be performed: {error}");
    match effect {
        Effect::EmitEvent { key, attempt, .. }
        | Effect::CallModel { key, attempt, .. }
        | Effect::CallTools { key, attempt, .. } => {
            Some(InboxMessage::EffectDone { key: key.clone(), attempt: *attempt, outcome: Err(error) })
        }
        Effect::StartChild { child, .. } => {
            let (child, status) = (child.clone(), RunStatus::Failed);
            Some(InboxMessage::ChildEnded(ChildEnd { child, status, output: None, error: Some(error) }))
        }
        Effect::DeliverEvent { .. }
        | Effect::ArmTimer { .. }
        | Effect::CancelTimer { .. }
        | Effect::ReportEnd { .. }
        | Effect::ForwardCommand { .. }
        | Effect::Continue => None,
    }
}

/// Performs one quick effect; what it brings back is taken in at once.
pub(crate) async fn perform(
    runner: &Runner,
    bell: &Delivery,
    flows: &Result<Flows, String>,
    head: &Head,
    effect: &Effect,
) -> Result<Option<InboxMessage>, RunnerError> {
    let timers = runner.bus.timers(&bell.plane);
    match effect {
        Effect::EmitEvent { key, attempt, wait_keys, envelope } => {
            return events::emit(runner, bell, key, *attempt, wait_keys, envelope).await.map(Some);
        }
        Effect::DeliverEvent { wait_key, delivery, envelope } => {
            events::deliver(runner, bell, wait_key, delivery, envelope).await?;
        }
        Effect::StartChild { child, workflow_id, vars, session_id, report } => {
            let start = children::Start { child, workflow_id, vars, session_id, report: *report };
            children::start(runner, bell, flows, head, start).await?;
        }
        Effect::ReportEnd { parent, end } => {
            let message = InboxMessage::ChildEnded((**end).clone());
            runner.send(&bell.plane, parent, &format!("end-{}", end.child), &message, &bell.trace).await?;
        }
        Effect::ForwardCommand { child, seq, command } => {
            let message = InboxMessage::Command { seq: *seq, command: command.clone() };
            runner.send(&bell.plane, child, &format!("command-{seq}-{child}"), &message, &bell.trace).await?;
        }
        Effect::ArmTimer { timer, at } => {
            let message = InboxMessage::TimerFired { timer: timer.clone() };
            let body = serde_json::to_vec(&message)
                .map_err(|error| bus::BusError::Corrupt { what: "a timer".to_owned(), cause: error.to_string() })?;
            timers.arm(&bell.run, timer, *at, &body.into()).await?;
        }
        Effect::CancelTimer { timer } => timers.cancel(&bell.run, timer).await?,
        Effect::CallModel { .. } | Effect::CallTools { .. } | Effect::Continue => {}
    }
    Ok(None)
}
