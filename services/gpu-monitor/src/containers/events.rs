//! The engine's own stream of events. Nothing is asked again and again; only a lost engine is looked for.

use super::engine::{Engine, Seen};
use crate::error::EngineError;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use domain::nodes::{Cause, ContainerReport, ContainerState};
use futures::StreamExt;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// A change of a container, with the engine's name for it, by which the same change heard twice is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) cause: Cause,
    pub(crate) container: ContainerReport,
    pub(crate) key: String,
}

/// First pause before an engine that is away is looked for again.
const SHORTEST: Duration = Duration::from_millis(100);
/// Longest such pause.
const LONGEST: Duration = Duration::from_secs(2);

/// Follows the engine through its restarts, for ever. Every change goes to `changes`; when that is full, the change is
/// left out and only seen in the next report.
pub(crate) async fn follow(engine: &Engine, changes: &mpsc::Sender<Change>) {
    let mut pause = SHORTEST;
    loop {
        let error = match connected(engine, changes, &mut pause).await {
            Ok(()) => EngineError::Unreachable {
                what: "following the container engine's events",
                cause: "the stream of events ended".to_owned(),
            },
            Err(error) => error,
        };
        // Said once an outage: a host without an engine is no fault that wants repeating.
        if pause == SHORTEST {
            tracing::info!(%error, "no container engine; it is looked for again from time to time");
        }
        engine.is_down(&error);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn connected(engine: &Engine, changes: &mpsc::Sender<Change>, pause: &mut Duration) -> Result<(), EngineError> {
    let version = engine.greet().await?;
    // The stream begins a moment before the list is made, so that nothing falls between the two.
    let since = jiff::Timestamp::now().as_second().saturating_sub(1);
    let options = EventsOptions {
        since: Some(since.to_string()),
        filters: Some(HashMap::from([("type".to_owned(), vec!["container".to_owned()])])),
        ..Default::default()
    };
    let client = engine.client()?;
    let before = engine.list(version.clone()).await?;
    let now = engine.watch().borrow().clone();
    if before.engine.is_err() {
        tracing::info!(version, containers = now.containers.len(), "the container engine answers");
    }
    for change in differences(&before, &now) {
        tell(changes, change);
    }
    *pause = SHORTEST;
    let mut events = std::pin::pin!(client.events(Some(options)));
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| EngineError::of("following the container engine's events", error))?;
        if let Some(change) = change(engine, event).await? {
            tell(changes, change);
        }
    }
    Ok(())
}

fn tell(changes: &mpsc::Sender<Change>, change: Change) {
    if let Err(error) = changes.try_send(change) {
        tracing::warn!(%error, "a change of a container is not told by itself; the next report shows it");
    }
}

/// What changed while nobody listened.
fn differences(before: &Seen, now: &Seen) -> Vec<Change> {
    let found = now.containers.values().filter(|container| before.containers.get(&container.id) != Some(container));
    let gone = before.containers.values().filter(|container| !now.containers.contains_key(&container.id));
    let found = found.map(|container| (Cause::Found, container.clone()));
    let gone =
        gone.map(|container| (Cause::Removed, ContainerReport { state: ContainerState::Removed, ..container.clone() }));
    // At the first look everything would be new; the first report tells it all at once.
    let first = before.containers.is_empty() && before.engine.is_err();
    found
        .chain(gone)
        .filter(|_| !first)
        .map(|(cause, container)| Change {
            key: format!("{}-{cause:?}-{:?}-{:?}", container.id, container.started_at, container.state),
            cause,
            container,
        })
        .collect()
}

async fn change(engine: &Engine, event: EventMessage) -> Result<Option<Change>, EngineError> {
    let Some(cause) = event.action.as_deref().and_then(cause) else { return Ok(None) };
    let Some(actor) = event.actor else { return Ok(None) };
    let Some(id) = actor.id else { return Ok(None) };
    let known = engine.watch().borrow().containers.get(&id).cloned();
    let container = match engine.inspect(&id).await? {
        Some(container) => container,
        None => match known {
            Some(known) => ContainerReport { state: ContainerState::Removed, ..known },
            None => return Ok(None),
        },
    };
    let key = format!("{id}-{cause:?}-{}", event.time_nano.unwrap_or_default());
    Ok(Some(Change { cause, container, key }))
}

/// What an action of the engine means; none for those that change nothing that we report, such as `exec_start`.
fn cause(action: &str) -> Option<Cause> {
    Some(match action {
        "create" => Cause::Created,
        "start" => Cause::Started,
        "die" => Cause::Exited,
        "oom" => Cause::OutOfMemory,
        "pause" => Cause::Paused,
        "unpause" => Cause::Unpaused,
        "destroy" => Cause::Removed,
        "rename" => Cause::Renamed,
        action if action.starts_with("health_status") => Cause::HealthChanged,
        _ => return None,
    })
}
