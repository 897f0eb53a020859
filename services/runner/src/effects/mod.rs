//! Performing effects, one kind per file. Each may be performed twice without harm.

mod children;
mod events;
mod model;
mod slow;

pub(crate) use events::{deliver, forget_wait};
pub(crate) use model::ModelClient;
pub(crate) use slow::Slow;

use crate::RunnerError;
use crate::flows::Flows;
use crate::run::Runner;
use bus::Delivery;
use domain::InboxMessage;
use flow::Effect;
use ledger::Head;

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
            let body = serde_json::to_vec(&message).map_err(|error| bus::BusError::Corrupt {
                what: "a timer".to_owned(),
                cause: error.to_string(),
            })?;
            timers.arm(&bell.run, timer, *at, &body.into()).await?;
        }
        Effect::CancelTimer { timer } => timers.cancel(&bell.run, timer).await?,
        Effect::CallModel { .. } | Effect::CallTools { .. } | Effect::Continue => {}
    }
    Ok(None)
}
