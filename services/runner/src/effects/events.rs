//! Delivering events to the runs that wait for them.

use crate::RunnerError;
use crate::run::Runner;
use crate::turn::event_key;
use bus::Delivery;
use domain::{Envelope, EventDelivery, InboxMessage, RunId};
use futures::future::try_join_all;
use ledger::Head;
use serde_json::{Value, json};

/// Heads read at once while looking for listeners.
const AT_ONCE: usize = 32;

/// Runs that wait on a key now and are not paused. The index may name others too; their heads tell.
async fn listeners(runner: &Runner, bell: &Delivery, wait_key: &str) -> Result<Vec<RunId>, RunnerError> {
    let candidates = runner.bus.waits(&bell.plane).find(wait_key).await?;
    let ledger = runner.ledger(&bell.plane);
    let mut waiting = Vec::new();
    for some in candidates.chunks(AT_ONCE) {
        let heads = try_join_all(some.iter().map(|run| ledger.head_at_leader(run))).await?;
        forget_ended(runner, bell, wait_key, heads.iter().flatten()).await;
        let ready = |head: &Head| event_key(&head.state) == Some(wait_key) && !head.state.control.paused;
        waiting.extend(heads.into_iter().flatten().filter(ready).map(|head| head.state.run_id));
    }
    Ok(waiting)
}

/// Runs that have ended since they waited are taken out of the index, which would only grow otherwise.
async fn forget_ended(runner: &Runner, bell: &Delivery, wait_key: &str, heads: impl Iterator<Item = &Head>) {
    let waits = runner.bus.waits(&bell.plane);
    let ended = heads.filter(|head| head.state.status.is_terminal()).map(|head| &head.state.run_id);
    let forgotten = ended.map(|run| waits.forget(wait_key, run));
    for error in futures::future::join_all(forgotten).await.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "a stale entry stays in the index of event waits");
    }
}

/// Delivers an event to whoever waits on the key. `delivery` names this delivery for each of them.
pub(crate) async fn deliver(
    runner: &Runner,
    bell: &Delivery,
    wait_key: &str,
    delivery: &str,
    envelope: &Envelope,
) -> Result<Vec<RunId>, RunnerError> {
    let runs = listeners(runner, bell, wait_key).await?;
    let message = InboxMessage::Event(EventDelivery { wait_key: wait_key.to_owned(), envelope: envelope.clone() });
    for some in runs.chunks(AT_ONCE) {
        try_join_all(some.iter().map(|run| {
            let id = format!("event-{delivery}-{run}");
            let message = &message;
            async move { runner.send(&bell.plane, run, &id, message, &bell.trace).await }
        }))
        .await?;
    }
    Ok(runs)
}

/// An event that a flow emits: delivered under its own key and the wildcard's, and answered with who got it.
pub(crate) async fn emit(
    runner: &Runner,
    bell: &Delivery,
    key: &str,
    attempt: u32,
    wait_keys: &[String],
    envelope: &Envelope,
) -> Result<InboxMessage, RunnerError> {
    let mut delivered = Vec::new();
    for wait_key in wait_keys {
        delivered.extend(deliver(runner, bell, wait_key, key, envelope).await?);
    }
    let resumed: Vec<Value> =
        delivered.iter().map(|run| json!({ "run_id": run.as_str(), "status": "running" })).collect();
    let answer = json!({
        "wait_key": wait_keys.first(),
        "name": envelope.name,
        "scope": envelope.scope,
        "delivered": delivered.len(),
        "delivered_to": delivered.iter().map(RunId::as_str).collect::<Vec<_>>(),
        "resumed": resumed,
    });
    Ok(InboxMessage::EffectDone { key: key.to_owned(), attempt, outcome: Ok(answer) })
}

/// A run that has ended waits for nothing. Only then is its place in the index given up: a run that goes on might
/// wait on the same key again while this is under way.
pub(crate) async fn forget_wait(runner: &Runner, bell: &Delivery, wait_key: &str) {
    if let Err(error) = runner.bus.waits(&bell.plane).forget(wait_key, &bell.run).await {
        tracing::debug!(%error, "a stale entry stays in the index of event waits");
    }
}
