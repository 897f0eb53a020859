//! Making a container from a definition, and fetching its image.

use super::DEFINITION_LABEL;
use super::engine::{ANSWER_WITHIN, Engine, within};
use crate::error::EngineError;
use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig, Mount, MountType, PortBinding, PortMap};
use bollard::query_parameters::{CreateContainerOptions, CreateImageOptions};
use domain::nodes::{ContainerName, Definition, Failure, FailureKind, GpuRequest, PullPolicy, Volume};
use futures::StreamExt;
use std::collections::HashMap;
use std::time::Duration;

/// Making a container takes the engine longer than a question, above all on a slow disk.
const MAKE_WITHIN: Duration = Duration::from_secs(60);

/// Makes a container of that name; there must be none. Whoever waits sets the deadline for fetching the image.
pub(super) async fn create(engine: &Engine, name: &ContainerName, definition: &Definition) -> Result<(), Failure> {
    image(engine, definition).await?;
    let options = CreateContainerOptions { name: Some(name.to_string()), ..Default::default() };
    let client = engine.client().map_err(|error| error.failure())?;
    let making = client.create_container(Some(options), body(definition));
    within("making the container", MAKE_WITHIN, making).await.map(|_| ()).map_err(|error| match error {
        EngineError::NotFound { cause, .. } => Failure { kind: FailureKind::ImageNotFound, text: cause },
        EngineError::Unreachable { .. } | EngineError::TimedOut { .. } | EngineError::Refused { .. } => error.failure(),
    })
}

/// Sees to the image, as the policy has it.
async fn image(engine: &Engine, definition: &Definition) -> Result<(), Failure> {
    let client = engine.client().map_err(|error| error.failure())?;
    let image = definition.image.as_str();
    let there = match within("looking for the image", ANSWER_WITHIN, client.inspect_image(image)).await {
        Ok(_) => true,
        Err(EngineError::NotFound { .. }) => false,
        Err(error) => return Err(error.failure()),
    };
    let missing = |text: String| Failure { kind: FailureKind::ImageNotFound, text };
    match (definition.pull, there) {
        (PullPolicy::Missing | PullPolicy::Never, true) => return Ok(()),
        (PullPolicy::Never, false) => {
            return Err(missing(format!("image {image} is not on this node and its pull policy is never")));
        }
        (PullPolicy::Missing, false) | (PullPolicy::Always, _) => {}
    }
    let (name, tag) = name_and_tag(image);
    let options =
        CreateImageOptions { from_image: Some(name.to_owned()), tag: tag.map(str::to_owned), ..Default::default() };
    let mut pulling = std::pin::pin!(client.create_image(Some(options), None, None));
    while let Some(step) = pulling.next().await {
        match step.map_err(|error| EngineError::of("fetching the image", error)) {
            Ok(_) => {}
            Err(error @ EngineError::Unreachable { .. }) => return Err(error.failure()),
            Err(error) => return Err(missing(format!("image {image} cannot be fetched: {error}"))),
        }
    }
    Ok(())
}

/// The name and the tag to fetch. Without a tag the engine would fetch all of them; a digest needs none.
fn name_and_tag(image: &str) -> (&str, Option<&str>) {
    if image.contains('@') {
        return (image, None);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, Some("latest")),
    }
}

fn body(definition: &Definition) -> ContainerCreateBody {
    let ports: PortMap = definition
        .ports
        .iter()
        .map(|port| {
            let binding = PortBinding {
                host_ip: Some(port.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned())),
                host_port: Some(port.host.to_string()),
            };
            (format!("{}/tcp", port.container), Some(vec![binding]))
        })
        .collect();
    let shared_memory = definition.shared_memory_mb.and_then(|mb| i64::try_from(mb * 1024 * 1024).ok());
    let host = HostConfig {
        mounts: Some(definition.volumes.iter().map(mount).collect()),
        network_mode: definition.network.clone(),
        port_bindings: (!ports.is_empty()).then(|| ports.clone()),
        shm_size: shared_memory,
        device_requests: gpus(&definition.gpus).map(|request| vec![request]),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(definition.image.clone()),
        cmd: (!definition.command.is_empty()).then(|| definition.command.clone()),
        env: Some(definition.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
        exposed_ports: (!ports.is_empty()).then(|| ports.keys().cloned().collect()),
        labels: Some(HashMap::from([(DEFINITION_LABEL.to_owned(), definition.digest())])),
        host_config: Some(host),
        ..Default::default()
    }
}

fn mount(volume: &Volume) -> Mount {
    let typ = if volume.source.starts_with('/') { MountType::BIND } else { MountType::VOLUME };
    Mount {
        typ: Some(typ),
        source: Some(volume.source.clone()),
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        ..Default::default()
    }
}

fn gpus(request: &GpuRequest) -> Option<DeviceRequest> {
    let (count, ids) = match request {
        GpuRequest::None => return None,
        GpuRequest::All => (Some(-1), None),
        GpuRequest::These { ids } => (None, Some(ids.clone())),
    };
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    Some(DeviceRequest { count, device_ids: ids, capabilities, ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_fetched_as_latest_and_a_registrys_port_is_no_tag() {
        assert_eq!(name_and_tag("redis"), ("redis", Some("latest")));
        assert_eq!(name_and_tag("host:5000/redis"), ("host:5000/redis", Some("latest")));
        assert_eq!(name_and_tag("host:5000/redis:7"), ("host:5000/redis", Some("7")));
        assert_eq!(name_and_tag("redis@sha256:ab"), ("redis@sha256:ab", None));
    }

    #[test]
    fn a_definition_asks_the_engine_for_its_gpus_and_opens_ports_on_the_loopback_alone() {
        let text = r#"{"image":"a:1","gpus":{"gpus":"these","ids":["GPU-1"]},"ports":[{"container":80,"host":8080}]}"#;
        let body = body(&serde_json::from_str(text).unwrap());
        let host = body.host_config.unwrap();
        assert_eq!(host.device_requests.unwrap()[0].device_ids, Some(vec!["GPU-1".to_owned()]));
        let binding = &host.port_bindings.unwrap()["80/tcp"];
        assert_eq!(binding.as_ref().unwrap()[0].host_ip.as_deref(), Some("127.0.0.1"));
        assert!(body.cmd.is_none());
    }
}
