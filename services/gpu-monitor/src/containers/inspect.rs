//! From the engine's description of a container to ours.

use super::DEFINITION_LABEL;
use bollard::models::{ContainerInspectResponse, ContainerState as EngineState};
use bollard::models::{ContainerStateStatusEnum as Status, HealthStatusEnum};
use domain::nodes::{ContainerReport, ContainerState, Health};

/// What a container that never ran has as its time of start.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The report on a container. Its generation is not the engine's to know.
pub(super) fn report(found: ContainerInspectResponse) -> ContainerReport {
    let config = found.config.unwrap_or_default();
    let engine_state = found.state.unwrap_or_default();
    ContainerReport {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        health: health(&engine_state),
        started_at: engine_state.started_at.clone().filter(|at| at != NEVER),
        state: state(engine_state),
        generation: None,
        definition: config.labels.unwrap_or_default().remove(DEFINITION_LABEL),
    }
}

fn state(state: EngineState) -> ContainerState {
    match state.status.unwrap_or(Status::EMPTY) {
        Status::CREATED | Status::EMPTY => ContainerState::Created,
        // One that is being stopped still holds its memory.
        Status::RUNNING | Status::STOPPING => {
            ContainerState::Running { pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0) }
        }
        Status::PAUSED => ContainerState::Paused,
        Status::RESTARTING => ContainerState::Restarting,
        Status::EXITED => ContainerState::Exited {
            code: state.exit_code.unwrap_or_default(),
            out_of_memory: state.oom_killed.unwrap_or_default(),
            at: state.finished_at.filter(|at| at != NEVER).and_then(|at| at.parse().ok()),
        },
        Status::REMOVING | Status::DEAD => ContainerState::Removed,
    }
}

fn health(state: &EngineState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) => Health::None,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
    }
}
