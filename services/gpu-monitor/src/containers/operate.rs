//! Carrying out one order. Each step looks at how the container is first, so that doing it twice does it once.

use super::create::create;
use super::engine::{Engine, within};
use crate::error::EngineError;
use bollard::query_parameters::{RemoveContainerOptions, RestartContainerOptions, StopContainerOptions};
use domain::nodes::{
    ContainerName, ContainerReport, ContainerState, Definition, Failure, FailureKind, Operation, Outcome,
};
use std::time::Duration;
use tokio::time::Instant;

/// What the engine may take on top of the grace that a container has for its end.
const BEYOND_GRACE: Duration = Duration::from_secs(30);
const START_WITHIN: Duration = Duration::from_secs(60);

/// Carries out an order until its deadline. While the engine is away, it is waited for. `begun_at` is the container's
/// last start when the order was first begun, if it is begun again now.
pub(crate) async fn perform(
    engine: &Engine,
    name: &ContainerName,
    operation: &Operation,
    begun_at: Option<&Option<String>>,
    deadline: Instant,
) -> Outcome {
    let mut last: Option<Failure> = None;
    loop {
        let failure = match tokio::time::timeout_at(deadline, once(engine, name, operation, begun_at)).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(failure)) => failure,
            Err(_) => {
                let text = format!("{} {name}: not done by the deadline", operation.verb());
                return Outcome::Failed { failure: last.unwrap_or(Failure { kind: FailureKind::TimedOut, text }) };
            }
        };
        if failure.kind != FailureKind::EngineUnreachable {
            return Outcome::Failed { failure };
        }
        let back = async {
            // The engine may be gone without the follower of its events having noticed yet.
            tokio::time::sleep(Duration::from_millis(100)).await;
            engine.up().await;
        };
        if tokio::time::timeout_at(deadline, back).await.is_err() {
            return Outcome::Failed { failure };
        }
        last = Some(failure);
    }
}

async fn once(
    engine: &Engine,
    name: &ContainerName,
    operation: &Operation,
    begun_at: Option<&Option<String>>,
) -> Result<Outcome, Failure> {
    let before = look(engine, name).await?;
    let changed = match operation {
        Operation::Inspect => {
            existing(name, before.as_ref())?;
            false
        }
        Operation::Create { definition } => make(engine, name, definition, before).await?,
        Operation::Start { definition } => start(engine, name, definition.as_deref(), before).await?,
        Operation::Stop { grace_ms } => stop(engine, name, *grace_ms, existing(name, before.as_ref())?).await?,
        Operation::Restart { grace_ms } => {
            restart(engine, name, *grace_ms, existing(name, before.as_ref())?, begun_at).await?
        }
        Operation::Remove { grace_ms } => remove(engine, name, *grace_ms, before).await?,
    };
    let container = look(engine, name).await?.map(Box::new);
    Ok(Outcome::Done { changed, container })
}

async fn look(engine: &Engine, name: &ContainerName) -> Result<Option<ContainerReport>, Failure> {
    engine.inspect(name.as_str()).await.map_err(|error| error.failure())
}

fn existing<'a>(name: &ContainerName, found: Option<&'a ContainerReport>) -> Result<&'a ContainerReport, Failure> {
    found.ok_or_else(|| Failure {
        kind: FailureKind::ContainerNotFound,
        text: format!("there is no container {name} on this node; create it, or register the service with an image"),
    })
}

/// Makes the container unless it is there, from the same definition or running.
async fn make(
    engine: &Engine,
    name: &ContainerName,
    definition: &Definition,
    before: Option<ContainerReport>,
) -> Result<bool, Failure> {
    if let Some(before) = before {
        if before.state.is_up() || before.definition.as_deref() == Some(&definition.digest()) {
            return Ok(false);
        }
        if before.definition.is_none() {
            return Err(Failure {
                kind: FailureKind::NotAllowed,
                text: format!("container {name} was not made by Gantry and is not replaced; remove or rename it"),
            });
        }
        remove(engine, name, 0, Some(before)).await?;
    }
    create(engine, name, definition).await?;
    Ok(true)
}

async fn start(
    engine: &Engine,
    name: &ContainerName,
    definition: Option<&Definition>,
    before: Option<ContainerReport>,
) -> Result<bool, Failure> {
    let client = engine.client().map_err(|error| error.failure())?;
    if let Some(before) = before.as_ref().filter(|before| before.state.is_up()) {
        // One that was frozen holds its memory and answers nobody: to start it is to let it go on.
        if before.state == ContainerState::Paused {
            let going_on = client.unpause_container(name.as_str());
            within("unfreezing the container", START_WITHIN, going_on).await.map_err(|error| error.failure())?;
            return Ok(true);
        }
        return Ok(false);
    }
    match definition {
        Some(definition) => {
            make(engine, name, definition, before).await?;
        }
        None => {
            existing(name, before.as_ref())?;
        }
    }
    let starting = client.start_container(name.as_str(), None);
    within("starting the container", START_WITHIN, starting).await.map_err(|error| error.failure())?;
    Ok(true)
}

async fn stop(engine: &Engine, name: &ContainerName, grace_ms: u64, before: &ContainerReport) -> Result<bool, Failure> {
    if !before.state.is_up() {
        return Ok(false);
    }
    let client = engine.client().map_err(|error| error.failure())?;
    let options = StopContainerOptions { t: Some(seconds(grace_ms)), ..Default::default() };
    let stopping = client.stop_container(name.as_str(), Some(options));
    within("stopping the container", limit(grace_ms), stopping).await.map_err(|error| error.failure())?;
    Ok(true)
}

async fn restart(
    engine: &Engine,
    name: &ContainerName,
    grace_ms: u64,
    before: &ContainerReport,
    begun_at: Option<&Option<String>>,
) -> Result<bool, Failure> {
    let done_already = begun_at.is_some_and(|started_at| *started_at != before.started_at) && before.state.is_up();
    if done_already {
        return Ok(true);
    }
    let client = engine.client().map_err(|error| error.failure())?;
    let options = RestartContainerOptions { t: Some(seconds(grace_ms)), ..Default::default() };
    let restarting = client.restart_container(name.as_str(), Some(options));
    within("restarting the container", limit(grace_ms), restarting).await.map_err(|error| error.failure())?;
    Ok(true)
}

async fn remove(
    engine: &Engine,
    name: &ContainerName,
    grace_ms: u64,
    before: Option<ContainerReport>,
) -> Result<bool, Failure> {
    let Some(before) = before else { return Ok(false) };
    stop(engine, name, grace_ms, &before).await?;
    let client = engine.client().map_err(|error| error.failure())?;
    // By its id: a container that somebody else made meanwhile under the name is not ours to remove.
    let removing = client.remove_container(&before.id, None::<RemoveContainerOptions>);
    match within("removing the container", START_WITHIN, removing).await {
        Ok(()) | Err(EngineError::NotFound { .. }) => Ok(true),
        Err(error) => Err(error.failure()),
    }
}

/// The engine counts grace in whole seconds.
fn seconds(grace_ms: u64) -> i32 {
    i32::try_from(grace_ms.div_ceil(1_000)).unwrap_or(i32::MAX)
}

fn limit(grace_ms: u64) -> Duration {
    Duration::from_millis(grace_ms).saturating_add(BEYOND_GRACE)
}
