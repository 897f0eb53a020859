//! What a definition may ask of a node. The node's owner decides, not whoever may register a service.

use domain::nodes::{Definition, GpuRequest, Port, Volume};
use std::path::{Component, Path, PathBuf};

const MOST_ITEMS: usize = 256;
const MOST_SHARED_MEMORY_MB: u64 = 1024 * 1024;

/// Whether a container may be made from a definition here; the error says what may not. `roots` are the directories of
/// the host from which volumes may come.
pub(crate) fn allowed(definition: &Definition, roots: &[PathBuf]) -> Result<(), String> {
    image(&definition.image)?;
    let items = [definition.command.len(), definition.env.len(), definition.volumes.len(), definition.ports.len()];
    if items.iter().any(|items| *items > MOST_ITEMS) {
        return Err(format!("more than {MOST_ITEMS} arguments, variables, volumes or ports"));
    }
    definition.env.iter().try_for_each(|(name, value)| variable(name, value.expose()))?;
    definition.volumes.iter().try_for_each(|one| volume(one, roots))?;
    definition.ports.iter().try_for_each(port)?;
    network(definition.network.as_deref())?;
    if definition.shared_memory_mb.is_some_and(|mb| mb == 0 || mb > MOST_SHARED_MEMORY_MB) {
        return Err(format!("shared memory must be 1 to {MOST_SHARED_MEMORY_MB} MiB"));
    }
    gpus(&definition.gpus)
}

fn image(image: &str) -> Result<(), String> {
    let fits = (1..=255).contains(&image.len())
        && image.starts_with(|c: char| c.is_ascii_alphanumeric())
        && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
    if fits { Ok(()) } else { Err(format!("'{image}' is no image name such as vllm/vllm-openai:v0.10.0")) }
}

fn variable(name: &str, value: &str) -> Result<(), String> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (fits, value.contains('\0')) {
        (true, false) => Ok(()),
        (false, _) => Err(format!("'{name}' is no name of an environment variable")),
        (true, true) => Err(format!("the value of {name} holds a zero byte")),
    }
}

fn volume(volume: &Volume, roots: &[PathBuf]) -> Result<(), String> {
    let (source, target) = (&volume.source, Path::new(&volume.target));
    if !target.is_absolute() || climbs(target) {
        return Err(format!("the volume target '{}' must be an absolute path without '..'", volume.target));
    }
    if !source.starts_with('/') {
        let fits = source.len() >= 2
            && source.starts_with(|c: char| c.is_ascii_alphanumeric())
            && source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        return if fits { Ok(()) } else { Err(format!("'{source}' is neither a volume's name nor an absolute path")) };
    }
    let path = Path::new(source);
    if !climbs(path) && roots.iter().any(|root| path.starts_with(root)) {
        return Ok(());
    }
    Err(format!(
        "directory '{source}' of the node may not be mounted; GANTRY_NODE_VOLUME_ROOTS of its agent names those that may"
    ))
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| matches!(part, Component::ParentDir))
}

fn port(port: &Port) -> Result<(), String> {
    let address = port.address.as_deref();
    if port.container == 0 || port.host == 0 {
        return Err("a port must be 1 to 65535".to_owned());
    }
    match address.map(str::parse::<std::net::IpAddr>) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(format!("'{}' is no IP address", address.unwrap_or_default())),
    }
}

/// Another container's network would lend its addresses and secrets, so only networks by name.
fn network(network: Option<&str>) -> Result<(), String> {
    let fits = |name: &str| {
        (1..=128).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    match network {
        Some(name) if !fits(name) => Err(format!("'{name}' is no network's name")),
        Some(_) | None => Ok(()),
    }
}

fn gpus(request: &GpuRequest) -> Result<(), String> {
    let is_id = |id: &String| {
        (id.starts_with("GPU-") || id.starts_with("MIG-"))
            && id.len() <= 64
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match request {
        GpuRequest::None | GpuRequest::All => Ok(()),
        GpuRequest::These { ids } if !ids.is_empty() && ids.iter().all(is_id) => Ok(()),
        GpuRequest::These { ids } => Err(format!("{ids:?} are not uuids of GPUs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<(), String> {
        let definition: Definition = serde_json::from_str(text).unwrap();
        allowed(&definition, &[PathBuf::from("/srv/models")])
    }

    #[test]
    fn what_a_model_server_needs_is_allowed() {
        let text = r#"{"image":"ghcr.io/ggml-org/llama.cpp:server-cuda","command":["-m","/models/a.gguf"],
            "env":{"HF_TOKEN":"x"},"volumes":[{"source":"/srv/models/llama","target":"/models","read_only":true},
            {"source":"cache","target":"/cache"}],"ports":[{"container":8080,"host":8081,"address":"::1"}],
            "network":"host","shared_memory_mb":8192,"gpus":{"gpus":"these","ids":["GPU-5a-1"]}}"#;
        assert_eq!(judge(text), Ok(()));
    }

    #[test]
    fn what_would_open_the_host_or_break_a_request_is_refused() {
        for (text, word) in [
            (r#"{"image":"--privileged"}"#, "image"),
            (r#"{"image":"a b"}"#, "image"),
            (r#"{"image":"a","env":{"A=B":""}}"#, "A=B"),
            (r#"{"image":"a","volumes":[{"source":"/","target":"/h"}]}"#, "GANTRY_NODE_VOLUME_ROOTS"),
            (r#"{"image":"a","volumes":[{"source":"/srv/models/../../etc","target":"/h"}]}"#, "may not be mounted"),
            (r#"{"image":"a","volumes":[{"source":"/srv/models-private","target":"/h"}]}"#, "may not be mounted"),
            (r#"{"image":"a","volumes":[{"source":"/var/run/docker.sock","target":"/h"}]}"#, "may not be mounted"),
            (r#"{"image":"a","volumes":[{"source":"../x","target":"/h"}]}"#, "neither"),
            (r#"{"image":"a","volumes":[{"source":"x1","target":"h"}]}"#, "absolute"),
            (r#"{"image":"a","ports":[{"container":80,"host":0}]}"#, "port"),
            (r#"{"image":"a","ports":[{"container":80,"host":8,"address":"evil"}]}"#, "IP"),
            (r#"{"image":"a","network":"container:db"}"#, "network"),
            (r#"{"image":"a","gpus":{"gpus":"these","ids":[]}}"#, "uuids"),
            (r#"{"image":"a","shared_memory_mb":0}"#, "shared memory"),
        ] {
            let refusal = judge(text).unwrap_err();
            assert!(refusal.contains(word), "{text}: {refusal}");
        }
    }
}
