//! Services and GPUs as they are registered and shown.

use super::{JobId, ServiceName, ServiceType};
use crate::Time;
use crate::nodes::Definition;
use serde::{Deserialize, Serialize};

/// How a service tells how far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressMode {
    /// Not at all.
    #[default]
    Stateless,
    /// It reports by itself.
    Queue,
    /// It is asked.
    Poll,
}

/// A service as it was registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Its name.
    pub name: ServiceName,
    /// Its container's name on the node; none for a service that is not ours to start: it is reached at `url`.
    pub container: Option<String>,
    /// Base URL of a service without a container, such as `http://10.0.0.5:8000`; taken to run always.
    #[serde(default)]
    pub url: Option<String>,
    /// The port that its container serves on its node.
    pub port: Option<u16>,
    /// Path of its health check.
    pub health_endpoint: String,
    /// The type of job it takes.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// For people.
    pub description: Option<String>,
    /// Declared GPU memory in GiB, as the contract has it.
    pub vram_gb: f64,
    /// How it tells progress.
    pub progress_mode: ProgressMode,
    /// Path that is asked for progress in poll mode.
    pub progress_endpoint: Option<String>,
    /// Whether it takes jobs.
    pub enabled: bool,
    /// When it was registered.
    pub created_at: Time,
    /// When that was last changed.
    pub updated_at: Time,
    /// What is beyond the contract.
    #[serde(default)]
    pub more: ServiceMore,
}

/// What may be registered of a service beyond the contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceMore {
    /// Path that jobs are posted to; none takes the type's own.
    pub job_endpoint: Option<String>,
    /// Path that is posted to when a job has to stop; its answer may hold `{"snapshot": …}`.
    pub stop_endpoint: Option<String>,
    /// Whether it stops working when its caller hangs up; none takes the type's default (`llm` and `vlm` do).
    pub stops_on_disconnect: Option<bool>,
    /// Jobs that it does at once.
    pub max_concurrency: u32,
    /// How long one attempt may take.
    pub job_timeout_ms: u64,
    /// How long it may take to become healthy; none takes the gateway's setting.
    pub start_timeout_ms: Option<u64>,
    /// How long a health check may take.
    pub health_timeout_ms: u64,
    /// How long it may be idle before it is stopped; none takes the gateway's setting, 0 means for ever.
    pub idle_timeout_ms: Option<u64>,
    /// How long a job runs on it before it may be preempted; none takes the gateway's setting.
    pub min_runtime_ms: Option<u64>,
    /// How long its container may take to stop by itself.
    pub stop_grace_ms: u64,
    /// How many GPUs of one node it needs; none means one if it needs memory.
    pub gpus: Option<u16>,
    /// Whose room is taken first when several are idle: the highest number's.
    pub priority: i32,
    /// The nodes that have its container; empty means all.
    pub nodes: Vec<String>,
    /// The GPUs it may use; empty means all.
    pub devices: Vec<String>,
    /// How its container is made; none takes the container as it is.
    pub definition: Option<Definition>,
    /// The names under which model requests reach it; empty for a service that takes jobs alone.
    pub models: Vec<String>,
    /// What speaks there, such as `llamacpp` or `vllm`; none for plain OpenAI.
    pub backend_kind: Option<String>,
    /// The model's name there, if it differs from the first of `models`.
    pub upstream_model: Option<String>,
}

impl Default for ServiceMore {
    fn default() -> Self {
        Self {
            job_endpoint: None,
            stop_endpoint: None,
            stops_on_disconnect: None,
            max_concurrency: 1,
            job_timeout_ms: 300_000,
            start_timeout_ms: None,
            health_timeout_ms: 3_000,
            idle_timeout_ms: None,
            min_runtime_ms: None,
            stop_grace_ms: 10_000,
            gpus: None,
            priority: 3,
            nodes: Vec::new(),
            devices: Vec::new(),
            definition: None,
            models: Vec::new(),
            backend_kind: None,
            upstream_model: None,
        }
    }
}

impl ServiceRecord {
    /// A container service with the contract's defaults.
    pub fn of_container(name: &str, container: &str, port: u16, service_type: &str, now: Time) -> Self {
        Self { container: Some(container.to_owned()), port: Some(port), ..Self::plain(name, service_type, now) }
    }

    /// A service that runs at an address by itself.
    pub fn at_url(name: &str, url: &str, service_type: &str, now: Time) -> Self {
        Self { url: Some(url.to_owned()), ..Self::plain(name, service_type, now) }
    }

    fn plain(name: &str, service_type: &str, now: Time) -> Self {
        Self {
            name: name.into(),
            container: None,
            url: None,
            port: None,
            health_endpoint: "/health".to_owned(),
            service_type: service_type.into(),
            description: None,
            vram_gb: 0.0,
            progress_mode: ProgressMode::Stateless,
            progress_endpoint: None,
            enabled: true,
            created_at: now,
            updated_at: now,
            more: ServiceMore::default(),
        }
    }

    /// Declared GPU memory in MiB, rounded up.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
    pub fn vram_mb(&self) -> u64 {
        (self.vram_gb.max(0.0) * 1024.0).ceil() as u64
    }
}

/// What is to be changed of a registration; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceChange {
    /// Another container.
    pub container: Option<String>,
    /// Another address, for a service without a container.
    pub url: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Another health check.
    pub health_endpoint: Option<String>,
    /// Another type.
    pub service_type: Option<ServiceType>,
    /// Another description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// Another declared memory.
    pub vram_gb: Option<f64>,
    /// Another way to tell progress.
    pub progress_mode: Option<ProgressMode>,
    /// Another progress path; `Some(None)` removes it.
    pub progress_endpoint: Option<Option<String>>,
    /// Whether it takes jobs.
    pub enabled: Option<bool>,
    /// Everything beyond the contract, replaced as a whole.
    pub more: Option<Box<ServiceMore>>,
}

impl ServiceChange {
    /// Changes a record; says whether anything was to be changed.
    pub fn apply(self, record: &mut ServiceRecord) -> bool {
        let before = record.clone();
        record.container = self.container.or(record.container.take());
        record.url = self.url.or(record.url.take());
        record.port = self.port.or(record.port);
        if let Some(path) = self.health_endpoint {
            record.health_endpoint = path;
        }
        if let Some(kind) = self.service_type {
            record.service_type = kind;
        }
        record.description = self.description.unwrap_or(record.description.take());
        record.vram_gb = self.vram_gb.unwrap_or(record.vram_gb);
        record.progress_mode = self.progress_mode.unwrap_or(record.progress_mode);
        record.progress_endpoint = self.progress_endpoint.unwrap_or(record.progress_endpoint.take());
        record.enabled = self.enabled.unwrap_or(record.enabled);
        if let Some(more) = self.more {
            record.more = *more;
        }
        *record != before
    }
}

/// Where a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// It does not run.
    Stopped,
    /// It is being started.
    Starting,
    /// It runs and has nothing to do.
    Idle,
    /// It runs and works.
    Busy,
    /// It runs but does not answer its health check.
    Unhealthy,
    /// It finishes its jobs and then stops.
    Draining,
    /// It is being stopped.
    Stopping,
    /// Its node is silent.
    Lost,
}

impl ServiceState {
    /// The word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Lost => "lost",
        }
    }
}

/// A service as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// What was registered.
    pub record: ServiceRecord,
    /// Where it stands.
    pub state: ServiceState,
    /// Whether its container is there; always for a service without one.
    pub container_running: bool,
    /// Whether its last health check was answered well.
    pub healthy: bool,
    /// How long that took, if it was asked for.
    pub response_time_ms: Option<f64>,
    /// The jobs that it does.
    pub active_jobs: Vec<JobId>,
    /// Which start of the container this is.
    pub generation: u64,
    /// Its node, while it has one.
    pub node: Option<String>,
    /// Its GPUs, while it has some.
    pub devices: Vec<String>,
    /// Memory set aside on each of them.
    pub reserved_mb: u64,
    /// The most memory it was seen to use on one GPU.
    pub learned_peak_mb: u64,
    /// Whether the scheduler started it, and so stops it when it is idle.
    pub started_by_scheduler: bool,
    /// Since when it has had nothing to do.
    pub idle_since: Option<Time>,
    /// Starts that failed in a row.
    pub failed_starts: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// When the next is tried.
    pub retry_at: Option<Time>,
    /// How long its last start took.
    pub last_start_ms: Option<u64>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Its id.
    pub id: String,
    /// Its node.
    pub node: String,
    /// Whether the node is heard.
    pub node_alive: bool,
    /// All of its memory.
    pub total_mb: u64,
    /// What is kept free on it.
    pub reserve_mb: u64,
    /// What is set aside on it.
    pub reserved_mb: u64,
    /// What may still be set aside, by the ledger and by measurement.
    pub free_mb: u64,
    /// Measured use; none if it cannot be measured.
    pub used_mb: Option<u64>,
    /// Use that no known container accounts for.
    pub foreign_mb: u64,
    /// Who holds it.
    pub holders: Vec<HolderView>,
}

/// A service's part of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderView {
    /// The service.
    pub service: ServiceName,
    /// Set aside.
    pub reserved_mb: u64,
    /// Measured, where memory can be attributed.
    pub measured_mb: Option<u64>,
}

/// The whole in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// The leading scheduler.
    pub leader: String,
    /// Its epoch.
    pub epoch: u64,
    /// The last order that was taken in.
    pub cursor: u64,
    /// Jobs by state.
    pub jobs: std::collections::BTreeMap<String, u64>,
    /// Queued jobs by type.
    pub queued_by_type: std::collections::BTreeMap<String, u64>,
    /// Queued jobs by priority.
    pub queued_by_priority: std::collections::BTreeMap<i32, u64>,
    /// GPUs.
    pub devices: Vec<DeviceView>,
    /// Nodes, and since when each that is silent has been.
    pub nodes: std::collections::BTreeMap<String, Option<Time>>,
}
