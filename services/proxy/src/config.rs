//! The settings of the proxy, and the only place that knows their names.

mod file;
mod overflow;
mod stored;
#[cfg(test)]
mod tests;

pub use file::{FileError, Settings as FileSettings};
pub use overflow::OverflowConfig;
pub(crate) use stored::{InForce, merge};

use crate::backends::{Capability, DisconnectRule};
use domain::models::{ModelTimeouts, duration};
use secrecy::SecretString;
use service::config::{ConfigError, Reader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the proxy is told from outside.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Model servers. With none, every model is unknown.
    pub backends: Vec<BackendConfig>,
    /// Models with a name, replicas or fallbacks of their own. Models that a backend lists need no entry.
    pub models: Vec<ModelConfig>,
    /// The model of a request that names none.
    pub default_model: Option<String>,
    /// API keys as clients send them. With no key at all, only this machine may call.
    pub api_keys: Vec<SecretString>,
    /// Keys with limits, stored as hashes.
    pub keys: Vec<KeyConfig>,
    /// Keys of services in the same process. They let these in and do not close the door for anybody else.
    pub own_keys: Vec<SecretString>,
    /// What every caller without limits of its own may do.
    pub rate: RateConfig,
    /// How long each phase of a request may take.
    pub timeouts: Timeouts,
    /// Sizes and counts.
    pub bounds: Bounds,
    /// Requests that become jobs.
    pub overflow: OverflowConfig,
    /// Origins that browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Whether what models are asked is written into the access log.
    pub log_prompts: bool,
    /// The file with backends, models and keys, read again when it changes.
    pub file: Option<PathBuf>,
    /// The folder in which files with keys of stored backends may lie; empty for none.
    pub key_dir: PathBuf,
}

/// A model server.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// Its name here, in errors and metrics.
    pub name: String,
    /// One of `vllm`, `ollama`, `llamacpp`, `tgi`, `sglang`, `localai`, `lmstudio`, `openai`.
    pub kind: String,
    /// Such as `http://vllm:8001/v1`.
    pub base_url: String,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<SecretString>,
    /// Requests it takes at once; more wait in the queue of their model. None for no bound.
    pub concurrency: Option<usize>,
    /// What it can do, where that differs from its kind.
    pub capabilities: Option<Vec<Capability>>,
    /// It is put to sleep when nobody has used it for so long. Only for kinds that can sleep, and only if nothing but this
    /// proxy uses it. None for never.
    pub sleep_after: Option<Duration>,
    /// What to do with its request when the client has gone, where that differs from its kind.
    pub on_disconnect: Option<DisconnectRule>,
}

/// A model with an entry of its own.
#[derive(Clone, Debug, Default)]
pub struct ModelConfig {
    /// As clients name it.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// Where it runs. None for a model of registered services, which are started when it is asked for.
    pub replicas: Vec<ReplicaConfig>,
    /// Models that serve in its place when no replica answers, in order.
    pub fallbacks: Vec<String>,
    /// Requests that may wait for it; none for the bound that holds for all.
    pub queue: Option<usize>,
    /// Times of its own; what is not said there is as in [`Config::timeouts`].
    pub timeouts: ModelTimeouts,
}

/// One place where a model runs.
#[derive(Clone, Debug, Default)]
pub struct ReplicaConfig {
    /// The backend's name.
    pub backend: String,
    /// The model's name there, if it differs.
    pub model: Option<String>,
    /// Its share of the requests beside the others'; 1 if not said.
    pub weight: Option<u32>,
}

/// A key with a name and limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyConfig {
    /// Under which all proxies count it; `file:` and its name if not said.
    pub id: Option<String>,
    /// Its name in usage and errors.
    pub name: String,
    /// As [`crate::hash_key`] gives it.
    pub hash: String,
    /// Who is charged; the name if not said.
    pub tenant: Option<String>,
    /// What it may do: `inference`, `models`, `admin`. Empty for the first two.
    pub scopes: Vec<String>,
    /// Models it may use. Empty for all.
    pub models: Vec<String>,
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in a minute, in and out.
    pub tokens_per_minute: Option<u32>,
    /// Requests at once.
    pub concurrent: Option<usize>,
    /// Tokens in all; without a broker, since the proxy started.
    pub token_budget: Option<u64>,
    /// Its weight in queues beside other tenants; 1 if not said.
    pub weight: Option<u32>,
    /// Higher goes first in queues; 0 if not said.
    pub priority: i32,
}

/// A bucket that every caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// Whether it holds.
    pub enabled: bool,
    /// Requests in a minute.
    pub per_minute: u32,
    /// Requests at once that an idle caller may send.
    pub burst: u32,
}

/// How long each phase of a request may take; each has its own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a backend takes the connection.
    pub connect: Duration,
    /// In the queue of the model.
    pub queue: Duration,
    /// For a service to be started, room for it included.
    pub start: Duration,
    /// Until a stream's first event.
    pub first_token: Duration,
    /// From one event to the next.
    pub between_tokens: Duration,
    /// From the request's first byte to the answer's last.
    pub total: Duration,
    /// Between comments on a silent stream. Zero for none.
    pub keep_alive: Duration,
    /// Between looks at every backend's health.
    pub probe: Duration,
}

/// Bounds of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Bytes of an answer that is not streamed.
    pub answer_bytes: usize,
    /// Bytes of one event.
    pub event_bytes: usize,
    /// Requests that may wait for one model.
    pub queue: usize,
}

impl BackendConfig {
    /// A server of that kind of which nothing else is said.
    pub fn new(name: &str, kind: &str, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            base_url: base_url.to_owned(),
            api_key: None,
            concurrency: None,
            capabilities: None,
            sleep_after: None,
            on_disconnect: None,
        }
    }
}

impl ModelConfig {
    /// Whether it says nothing of the model but its name.
    pub(crate) fn says_nothing(&self) -> bool {
        let lists = self.aliases.is_empty() && self.replicas.is_empty() && self.fallbacks.is_empty();
        lists && self.queue.is_none() && self.timeouts == ModelTimeouts::default()
    }
}

impl Default for RateConfig {
    fn default() -> Self {
        Self { enabled: false, per_minute: 60, burst: 20 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            queue: Duration::from_secs(300),
            start: Duration::from_secs(300),
            first_token: Duration::from_secs(300),
            between_tokens: Duration::from_secs(120),
            total: Duration::from_secs(3_600),
            keep_alive: Duration::from_secs(15),
            probe: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    /// The same with the times of a model's own.
    pub(crate) fn of_model(&self, own: &ModelTimeouts) -> Self {
        let or = |own: Option<f64>, usual| own.map_or(usual, duration);
        Self {
            connect: or(own.connect_s, self.connect),
            queue: or(own.queue_s, self.queue),
            start: or(own.start_s, self.start),
            first_token: or(own.first_token_s, self.first_token),
            between_tokens: or(own.between_tokens_s, self.between_tokens),
            total: or(own.total_s, self.total),
            ..*self
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { request_bytes: 32 * MIB, answer_bytes: 64 * MIB, event_bytes: 4 * MIB, queue: 256 }
    }
}

impl Config {
    /// Reads them; the file with backends and models, if one is named, is read by [`crate::Proxy::reload`].
    pub fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let reader = reader.section("proxy");
        let default_model: Option<String> =
            reader.value("MODEL_NAME").about("model of a request that names none").optional()?;
        Ok(Self {
            backends: read_backend(reader)?.into_iter().collect(),
            default_model,
            api_keys: reader.secrets("API_KEYS").about("keys that clients may send").all(),
            rate: read_rate(reader)?,
            timeouts: read_timeouts(reader)?,
            bounds: read_bounds(reader)?,
            overflow: OverflowConfig::read(reader)?,
            cors_origins: reader
                .value("GANTRY_PROXY_CORS_ORIGINS")
                .about("origins that browsers may call from, * for any")
                .default(Vec::new())?,
            log_prompts: reader
                .value("GANTRY_PROXY_LOG_PROMPTS")
                .about("whether prompts are written into the access log, their first 4,096 characters")
                .default(false)?,
            key_dir: reader
                .value("GANTRY_PROXY_KEY_DIR")
                .about("folder of the key files that stored backends name")
                .default(PathBuf::from("/run/secrets"))?,
            file: reader.value("GANTRY_PROXY_FILE").about("TOML file with backends, models and keys").optional()?,
            ..Self::default()
        })
    }
}

/// Where `gantry proxy` listens when it runs alone.
pub fn read_address(reader: &mut Reader) -> Result<SocketAddr, ConfigError> {
    let reader = reader.section("proxy");
    let host: String =
        reader.value("GANTRY_PROXY_HOST").about("address to listen on").default("127.0.0.1".to_owned())?;
    let port: u16 = reader.value("GANTRY_PROXY_PORT").about("port to listen on").default(8000)?;
    format!("{host}:{port}").parse().or_else(|_| format!("[{host}]:{port}").parse()).map_err(|_| ConfigError::Missing {
        name: "GANTRY_PROXY_HOST".to_owned(),
        accepted: "an address such as 127.0.0.1, 0.0.0.0 or ::1".to_owned(),
    })
}

fn read_backend(reader: &mut Reader) -> Result<Option<BackendConfig>, ConfigError> {
    let kinds: Vec<(&'static str, &'static str)> =
        crate::backends::ALL.iter().map(|kind| (kind.name, kind.name)).collect();
    let kind = reader.choice("BACKEND_KIND", &kinds).about("kind of the one model server").default("openai")?;
    let base_url: Option<String> =
        reader.value("BACKEND_BASE_URL").alias("OPENAI_COMPATIBLE_BASE_URL").about("its URL, with /v1").optional()?;
    let api_key: Option<SecretString> =
        reader.value("BACKEND_API_KEY").alias("OPENAI_COMPATIBLE_API_KEY").about("its key").optional()?;
    let concurrency: Option<usize> =
        reader.value("GANTRY_PROXY_CONCURRENCY").about("requests that it takes at once").optional()?;
    let sleep_after: Option<Duration> = reader
        .value("GANTRY_PROXY_SLEEP_AFTER_S")
        .about("idle time after which a server that can sleep is put to sleep; needs one that only this proxy uses")
        .optional()?;
    let rules =
        [("propagate", DisconnectRule::Propagate), ("drain", DisconnectRule::Drain), ("abort", DisconnectRule::Abort)];
    let on_disconnect = reader
        .choice("GANTRY_PROXY_ON_DISCONNECT", &rules)
        .about("what to do with its request when the client has gone, where that differs from its kind")
        .optional()?;
    let backend = base_url.map(|base_url: String| BackendConfig::new(kind, kind, &base_url));
    Ok(backend.map(|backend| BackendConfig { api_key, concurrency, sleep_after, on_disconnect, ..backend }))
}

fn read_rate(reader: &mut Reader) -> Result<RateConfig, ConfigError> {
    let usual = RateConfig::default();
    Ok(RateConfig {
        enabled: reader.value("RATE_LIMIT_ENABLED").about("whether callers are limited").default(usual.enabled)?,
        per_minute: reader.value("RATE_LIMIT_RPM").about("requests in a minute").default(usual.per_minute)?,
        burst: reader.value("RATE_LIMIT_BURST").about("requests at once").default(usual.burst)?,
    })
}

fn read_timeouts(reader: &mut Reader) -> Result<Timeouts, ConfigError> {
    let usual = Timeouts::default();
    let mut read = |name: &str, about: &'static str, usual| {
        reader.value(&format!("GANTRY_PROXY_{name}_S")).about(about).default(usual)
    };
    Ok(Timeouts {
        connect: read("CONNECT_TIMEOUT", "until a backend takes the connection", usual.connect)?,
        queue: read("QUEUE_TIMEOUT", "longest wait in a model's queue", usual.queue)?,
        start: read("START_TIMEOUT", "longest wait for a service to be started", usual.start)?,
        first_token: read("FIRST_TOKEN_TIMEOUT", "until a stream's first event", usual.first_token)?,
        between_tokens: read("BETWEEN_TOKENS_TIMEOUT", "from one event to the next", usual.between_tokens)?,
        total: read("TOTAL_TIMEOUT", "longest request", usual.total)?,
        keep_alive: read("KEEP_ALIVE", "between comments on a silent stream, 0 for none", usual.keep_alive)?,
        probe: read("PROBE", "between looks at every backend", usual.probe)?,
    })
}

fn read_bounds(reader: &mut Reader) -> Result<Bounds, ConfigError> {
    let usual = Bounds::default();
    let mut read = |name: &str, about: &'static str, usual| {
        reader.value(&format!("GANTRY_PROXY_{name}")).about(about).default(usual)
    };
    Ok(Bounds {
        request_bytes: read("REQUEST_BYTES", "largest request", usual.request_bytes)?,
        answer_bytes: read("ANSWER_BYTES", "largest answer that is not streamed", usual.answer_bytes)?,
        event_bytes: read("EVENT_BYTES", "largest event of a stream", usual.event_bytes)?,
        queue: read("QUEUE", "requests that may wait for one model", usual.queue)?,
    })
}
