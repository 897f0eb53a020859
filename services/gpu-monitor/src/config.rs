//! Settings of the agent; the only file with the names of its variables.

use crate::devices::Choice;
use domain::nodes::NodeId;
use service::config::{ConfigError, Reader, Setting};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How this host is watched.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's id.
    pub node: NodeId,
    /// By what GPUs are read.
    pub source: Choice,
    /// Name or path of `nvidia-smi`.
    pub nvidia_smi: PathBuf,
    /// How often GPUs are read.
    pub interval: Duration,
    /// Memory kept free on each GPU, in MiB.
    pub reserve_mb: u64,
    /// Memory kept free for the system where a GPU shares it, in MiB.
    pub unified_reserve_mb: u64,
    /// The container engine: `unix:///path` or `http://host:port`.
    pub engine: String,
    /// Directories of the host that containers made by Gantry may mount.
    pub volume_roots: Vec<PathBuf>,
    /// Where the host's `/proc` is.
    pub proc: PathBuf,
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        reader.section("gpu-monitor");
        let proc = reader
            .value::<PathBuf>("GANTRY_NODE_PROC")
            .about("where the host's /proc is seen, for an agent in a container")
            .default(PathBuf::from("/proc"))?;
        let node = reader
            .value::<NodeName>("GANTRY_NODE_ID")
            .about("this GPU host's name among all; its host name unless set")
            .default(NodeName(host_name(&proc)?))?
            .0;
        let source = Self::source(reader)?;
        let nvidia_smi = reader
            .value::<PathBuf>("GANTRY_NVIDIA_SMI")
            .about("name or path of the nvidia-smi program")
            .default(PathBuf::from("nvidia-smi"))?;
        let interval = reader
            .value::<Duration>("GANTRY_GPU_INTERVAL")
            .about("how often GPUs are read; nvidia-smi at most every ten seconds")
            .check("a duration from 100ms to 1m", |every: &Duration| {
                (Duration::from_millis(100)..=Duration::from_secs(60)).contains(every)
            })
            .default(Duration::from_secs(1))?;
        let reserve_mb =
            reader.value::<u64>("GANTRY_GPU_RESERVE_MB").about("memory kept free on each GPU, in MiB").default(256)?;
        let unified_reserve_mb = reader
            .value::<u64>("GANTRY_GPU_UNIFIED_RESERVE_MB")
            .about("memory kept free for the system where a GPU shares it, in MiB")
            .default(4_096)?;
        let engine = reader
            .value::<String>("GANTRY_DOCKER_HOST")
            .alias("DOCKER_HOST")
            .about("the container engine: unix:///path, tcp://host:port or http://host:port")
            .check("unix:///path, tcp://host:port or http://host:port", |address: &String| {
                ["unix://", "tcp://", "http://"].iter().any(|scheme| address.starts_with(scheme))
            })
            .default("unix:///var/run/docker.sock".to_owned())?;
        let roots = reader
            .value::<Vec<String>>("GANTRY_NODE_VOLUME_ROOTS")
            .about("directories of this host that containers made by Gantry may mount; none unless set")
            .check("absolute paths separated by commas", |paths: &Vec<String>| {
                paths.iter().all(|path| path.starts_with('/') && !path.contains(".."))
            })
            .default(Vec::new())?;
        Ok(Self {
            node,
            source,
            nvidia_smi,
            interval,
            reserve_mb,
            unified_reserve_mb,
            engine,
            volume_roots: roots.into_iter().map(PathBuf::from).collect(),
            proc,
        })
    }

    fn source(reader: &mut Reader) -> Result<Choice, ConfigError> {
        let recording = reader
            .value::<PathBuf>("GANTRY_GPU_RECORDING")
            .about("recorded telemetry to play back; taken when GANTRY_GPU_SOURCE is recorded")
            .optional()?;
        let words = ["auto", "nvml", "nvidia-smi", "recorded", "none"].map(|word| (word, word));
        let word = reader
            .choice("GANTRY_GPU_SOURCE", &words)
            .about("by what GPUs are read: auto takes NVML, else nvidia-smi, else nothing")
            .default("auto")?;
        Ok(match (word, recording) {
            ("nvml", _) => Choice::Nvml,
            ("nvidia-smi", _) => Choice::NvidiaSmi,
            ("none", _) => Choice::None,
            ("recorded", Some(path)) => Choice::Recorded(path),
            ("recorded", None) => {
                return Err(ConfigError::Missing {
                    name: "GANTRY_GPU_RECORDING".to_owned(),
                    accepted: "the path of recorded telemetry, because GANTRY_GPU_SOURCE is recorded".to_owned(),
                });
            }
            _ => Choice::Auto,
        })
    }
}

/// A node's name as a setting.
struct NodeName(NodeId);

impl Setting for NodeName {
    fn accepted() -> String {
        "1 to 64 letters, digits, '_' and '-'".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        NodeId::new(text).ok().map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// The host's name, made to fit.
fn host_name(proc: &Path) -> Result<NodeId, ConfigError> {
    let host = std::fs::read_to_string(proc.join("sys/kernel/hostname")).unwrap_or_default();
    NodeId::from_host_name(&host).ok_or_else(|| ConfigError::Missing {
        name: "GANTRY_NODE_ID".to_owned(),
        accepted: "a name for this node, because the host has none that can be used".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::{Environment, File, Flags};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(&mut Reader::new(
            Flags::default(),
            Environment::from_pairs(pairs.iter().copied()),
            File::default(),
        ))
    }

    #[test]
    fn a_plain_host_needs_no_setting() {
        let config = read(&[]).unwrap();
        assert_eq!(config.source, Choice::Auto);
        assert_eq!(config.engine, "unix:///var/run/docker.sock");
        assert!(config.volume_roots.is_empty());
        let named = read(&[("GANTRY_NODE_ID", "gpu-7"), ("DOCKER_HOST", "tcp://docker:2375")]).unwrap();
        assert_eq!((named.node.as_str(), named.engine.as_str()), ("gpu-7", "tcp://docker:2375"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        for (name, value) in [
            ("GANTRY_NODE_ID", "a.b"),
            ("GANTRY_GPU_SOURCE", "rocm"),
            ("GANTRY_GPU_INTERVAL", "1ms"),
            ("GANTRY_DOCKER_HOST", "/var/run/docker.sock"),
            ("GANTRY_NODE_VOLUME_ROOTS", "/srv/../etc"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let error = read(&[("GANTRY_GPU_SOURCE", "recorded")]).unwrap_err().to_string();
        assert!(error.contains("GANTRY_GPU_RECORDING"), "{error}");
    }
}
