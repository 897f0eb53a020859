//! Brings commands from the command log to the inboxes of the runs they name, in the order of the log.
//!
//! The log hands out one command at a time over all processes, and the next only after the last was acknowledged, so
//! a run's inbox holds its commands in the order of their `seq`. A router that dies or sleeps between the two writes
//! makes a command arrive twice or late; a run knows the last `seq` it took in and drops both.

use crate::clock::now;
use crate::metrics;
use bus::{Bus, BusError, Deliveries, Delivery};
use domain::{Command, CommandId, CommandOutcome, InboxMessage, Plane, RunId, Verdict};
use tokio_util::sync::CancellationToken;

/// Routes the commands of a plane until `stop`.
pub(crate) async fn route(bus: Bus, plane: Plane, stop: CancellationToken) -> Result<(), BusError> {
    let mut commands: Deliveries = bus.commands_to_route(&plane);
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            delivery = commands.next() => delivery,
        };
        forward(&bus, &plane, &delivery).await;
    }
}

async fn forward(bus: &Bus, plane: &Plane, delivery: &Delivery) {
    let seq = delivery.sequence;
    let command: Command = match serde_json::from_slice(&delivery.body) {
        Ok(command) => command,
        Err(error) => {
            tracing::error!(%error, seq, "a command in the log cannot be read and is skipped");
            return delivery.ack().await;
        }
    };
    let (id, run) = (command.command_id.clone(), command.run_id.clone());
    let message = InboxMessage::Command { seq, command: Box::new(command) };
    let Ok(body) = serde_json::to_vec(&message) else { return delivery.ack().await };
    match bus.inbox(plane).send(&run, &format!("command-{seq}"), &body.into(), &delivery.trace).await {
        Ok(_) => {
            ::metrics::counter!(metrics::COMMANDS).increment(1);
            delivery.ack().await;
        }
        // Not acknowledged: it comes again, before any later one.
        Err(error) if error.is_transient() => tracing::warn!(%error, seq, "a command could not be routed yet"),
        Err(error) => refuse(bus, plane, delivery, (id, run), &error).await,
    }
}

/// A command that no inbox will ever take must not keep back those behind it.
async fn refuse(bus: &Bus, plane: &Plane, delivery: &Delivery, (id, run): (CommandId, RunId), error: &BusError) {
    tracing::error!(%error, seq = delivery.sequence, "a command cannot be routed and is refused");
    let verdict = Verdict::Refused { reason: error.to_string() };
    let outcome = CommandOutcome { run_id: run, verdict, cursor: 0, applied_at: now() };
    match bus.outcomes(plane).record(&id, &outcome).await {
        Ok(()) => delivery.ack().await,
        Err(error) => tracing::warn!(%error, "its refusal could not be written yet"),
    }
}
