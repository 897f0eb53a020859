//! Settings of the runner; the only file with the names of its variables.

use secrecy::SecretString;
use service::config::{ConfigError, Reader};
use std::time::Duration;

/// How this process drives runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Steps under way at once.
    pub concurrency: usize,
    /// Slow effects (model calls) under way at once.
    pub slow_effects: usize,
    /// Model calls.
    pub model: ModelConfig,
}

/// Where model calls go.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Base URL of the proxy service, ending in `/v1`.
    pub base_url: String,
    /// Key for it.
    pub api_key: Option<SecretString>,
    /// Provider recorded when neither flow nor request names one.
    pub provider: String,
    /// Model used when neither flow nor request names one.
    pub model: Option<String>,
    /// A call that takes longer counts as failed.
    pub timeout: Duration,
}

impl Config {
    /// Reads the settings. `proxy` is where the proxy service of this process listens, when it has one.
    pub fn read(reader: &mut Reader, proxy: &str) -> Result<Self, ConfigError> {
        reader.section("runner");
        let concurrency = reader
            .value::<usize>("GANTRY_RUNNER_CONCURRENCY")
            .about("steps under way at once in one runner process")
            .within(1..=4_096)
            .default(64)?;
        let slow_effects = reader
            .value::<usize>("GANTRY_RUNNER_MODEL_CALLS")
            .about("model calls under way at once in one runner process")
            .within(1..=4_096)
            .default(256)?;
        Ok(Self { concurrency, slow_effects, model: ModelConfig::read(reader, proxy)? })
    }
}

impl ModelConfig {
    fn read(reader: &mut Reader, proxy: &str) -> Result<Self, ConfigError> {
        let base_url = reader
            .value::<String>("GANTRY_PROXY_URL")
            .about("base URL of the proxy service that model calls go through, ending in /v1")
            .default(proxy.to_owned())?;
        let api_key = reader
            .value::<SecretString>("GANTRY_PROXY_KEY")
            .about("API key that model calls send to the proxy service, where it asks for one")
            .optional()?;
        let provider = reader
            .value::<String>("GANTRY_PROVIDER")
            .alias("ABSTRACTGATEWAY_PROVIDER")
            .about("provider of model calls that name none")
            .default("openai-compatible".to_owned())?;
        let model = reader
            .value::<String>("GANTRY_MODEL")
            .alias("ABSTRACTGATEWAY_MODEL")
            .about("model of model calls that name none")
            .optional()?;
        let timeout = reader
            .value::<u64>("GANTRY_MODEL_TIMEOUT_S")
            .about("seconds after which a model call counts as failed")
            .within(1..=86_400)
            .default(900)?;
        Ok(Self { base_url, api_key, provider, model, timeout: Duration::from_secs(timeout) })
    }
}
