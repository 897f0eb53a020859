//! The TOML file with many backends, models and keys.

use super::{BackendConfig, Config, KeyConfig, ModelConfig, ReplicaConfig};
use crate::backends::{Capability, DisconnectRule};
use domain::models::ModelTimeouts;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy's file {} cannot be used: {reason}", .path.display())]
pub struct FileError {
    path: PathBuf,
    reason: String,
}

/// What such a file may hold.
///
/// ```toml
/// [[backend]]
/// name = "big"
/// kind = "vllm"
/// base_url = "http://vllm:8001/v1"
/// concurrency = 64
///
/// [[model]]
/// name = "chat"
/// aliases = ["gpt-4o"]
/// replicas = [{ backend = "big", model = "Qwen/Qwen3-32B" }]
/// timeouts = { first_token_s = 20, total_s = 600 }
///
/// [[key]]
/// name = "alice"
/// hash = "…"
/// models = ["chat"]
/// requests_per_minute = 60
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    default_model: Option<String>,
    #[serde(default)]
    backend: Vec<Backend>,
    #[serde(default)]
    model: Vec<Model>,
    #[serde(default)]
    key: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    name: String,
    kind: String,
    base_url: String,
    #[serde(default, deserialize_with = "secret")]
    api_key: Option<SecretString>,
    /// The key lies in that file: a mounted secret.
    api_key_file: Option<PathBuf>,
    concurrency: Option<usize>,
    capabilities: Option<Vec<Capability>>,
    sleep_after_s: Option<f64>,
    on_disconnect: Option<DisconnectRule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
    #[serde(default)]
    fallbacks: Vec<String>,
    queue: Option<usize>,
    #[serde(default)]
    timeouts: ModelTimeouts,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replica {
    backend: String,
    model: Option<String>,
    weight: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    hash: String,
    tenant: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    models: Vec<String>,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    concurrent: Option<usize>,
    token_budget: Option<u64>,
    weight: Option<u32>,
    #[serde(default)]
    priority: i32,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    String::deserialize(from).map(|text| Some(text.into()))
}

impl Settings {
    /// Reads the file, and the secrets that it points to.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let refuse = |reason: String| FileError { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let mut settings: Self = toml::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        for backend in &mut settings.backend {
            if backend.sleep_after_s.is_some_and(|after| !(0.0..1e9).contains(&after)) {
                return Err(refuse(format!("backend '{}': sleep_after_s is no number of seconds", backend.name)));
            }
            if let Some(file) = &backend.api_key_file {
                let secret = std::fs::read_to_string(file)
                    .map_err(|error| refuse(format!("api_key_file {}: {error}", file.display())))?;
                backend.api_key = Some(secret.trim().to_owned().into());
            }
        }
        Ok(settings)
    }

    /// These beside what the environment named.
    pub fn merged_into(self, base: &Config) -> Config {
        let mut config = base.clone();
        config.default_model = base.default_model.clone().or(self.default_model);
        config.backends.extend(self.backend.into_iter().map(|one| BackendConfig {
            name: one.name,
            kind: one.kind,
            base_url: one.base_url,
            api_key: one.api_key,
            concurrency: one.concurrency,
            capabilities: one.capabilities,
            sleep_after: one.sleep_after_s.map(Duration::from_secs_f64),
            on_disconnect: one.on_disconnect,
        }));
        config.models.extend(self.model.into_iter().map(|one| ModelConfig {
            name: one.name,
            aliases: one.aliases,
            replicas: one.replicas.into_iter().map(Replica::into).collect(),
            fallbacks: one.fallbacks,
            queue: one.queue,
            timeouts: one.timeouts,
        }));
        config.keys.extend(self.key.into_iter().map(Key::into));
        config
    }
}

impl From<Replica> for ReplicaConfig {
    fn from(one: Replica) -> Self {
        Self { backend: one.backend, model: one.model, weight: one.weight }
    }
}

impl From<Key> for KeyConfig {
    fn from(one: Key) -> Self {
        Self {
            id: None,
            name: one.name,
            hash: one.hash,
            tenant: one.tenant,
            scopes: one.scopes,
            models: one.models,
            requests_per_minute: one.requests_per_minute,
            tokens_per_minute: one.tokens_per_minute,
            concurrent: one.concurrent,
            token_budget: one.token_budget,
            weight: one.weight,
            priority: one.priority,
        }
    }
}
