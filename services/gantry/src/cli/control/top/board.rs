//! What `gantry top` knows: the last answers of the gateway, and what was told since.

use super::super::super::sse::Event;
use super::super::super::{Client, RequestError, plain};
use super::super::{brief_ids, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Jobs that are asked for.
const JOBS: usize = 100;

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    /// The gateway.
    pub url: String,
    /// GPUs as the scheduler counts them, by node and index.
    pub devices: Vec<Value>,
    /// Services by name.
    pub services: Vec<Value>,
    /// Jobs: running, paused, then queued ones in their order.
    pub jobs: Vec<Value>,
    /// The queue in numbers.
    pub stats: Value,
    /// Why there is no GPU.
    pub no_gpu: String,
    /// What keeps the picture from being up to date.
    pub problem: Option<String>,
    /// Lines of jobs that are scrolled past.
    pub scroll: usize,
    /// What each GPU measures, by node and id.
    pub gpus: BTreeMap<(String, String), Value>,
}

/// What the gateway answers when it is asked for all of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub gpu: Value,
    pub vram: Value,
    pub services: Value,
    pub queue: Value,
    pub stats: Value,
}

/// Asks for all of it.
pub(super) async fn read(client: Client) -> Result<Answers, RequestError> {
    let jobs = [
        ("status", "running,paused,queued".to_owned()),
        ("sort", "urgent".to_owned()),
        ("explain", "true".to_owned()),
        ("limit", JOBS.to_string()),
    ];
    let quietly = [("probe", "false".to_owned())];
    let (gpu, vram, services, queue, stats) = tokio::try_join!(
        client.get(&["gpu"], &[]),
        client.get(&["vram"], &[]),
        client.get(&["services"], &quietly),
        client.get(&["queue"], &jobs),
        client.get(&["queue", "stats"], &[]),
    )?;
    Ok(Answers { gpu, vram, services, queue, stats })
}

impl Board {
    /// Takes answers in; the picture is up to date with them.
    pub(super) fn take(&mut self, mut answers: Answers) {
        self.problem = None;
        self.no_gpu = text(&answers.gpu, "error");
        self.gpus.clear();
        for gpu in list(&mut answers.gpu["gpus"]) {
            self.hear_gpu(gpu);
        }
        let mut devices = list(&mut answers.vram["gpus"]);
        devices.sort_by_key(|device| (text(device, "node"), self.index(device), text(device, "id")));
        self.devices = devices;
        self.services =
            answers.services["services"].as_object().into_iter().flatten().map(|(_, one)| one.clone()).collect();
        self.jobs = list(&mut answers.queue["jobs"]);
        self.stats = answers.stats;
        self.scroll = self.scroll.min(self.jobs.len().saturating_sub(1));
    }

    /// Takes in what was told; says whether the gateway is to be asked again.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let mut told: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if event.kind != "report" {
            return true;
        }
        let gpus = list(&mut told["gpus"]);
        let is_new = gpus.iter().any(|gpu| !self.gpus.contains_key(&key(gpu)));
        let moved = gpus.iter().any(|gpu| {
            let used = |gpu: &Value| gpu["memory"]["used_mb"]["value"].as_u64();
            self.gpus.get(&key(gpu)).is_some_and(|before| used(before) != used(gpu))
        });
        for gpu in gpus {
            self.hear_gpu(gpu);
        }
        is_new || moved
    }

    fn hear_gpu(&mut self, gpu: Value) {
        self.gpus.insert(key(&gpu), gpu);
    }

    /// What a GPU measures, if its node says so.
    pub(super) fn gpu(&self, device: &Value) -> Option<&Value> {
        self.gpus.get(&key(device))
    }

    fn index(&self, device: &Value) -> u64 {
        self.gpu(device).and_then(|gpu| gpu["index"].as_u64()).unwrap_or(u64::MAX)
    }

    /// Counts of a state.
    pub(super) fn count(&self, state: &str) -> u64 {
        self.stats["by_status"][state].as_u64().unwrap_or(0)
    }

    /// All of it as JSON, for other programs.
    pub(super) fn value(&self) -> Value {
        let with = |device: &Value| {
            let mut device = device.clone();
            device["telemetry"] = self.gpu(&device).cloned().unwrap_or_default();
            device
        };
        json!({
            "url": self.url,
            "gpus": self.devices.iter().map(with).collect::<Vec<_>>(),
            "services": self.services,
            "jobs": self.jobs,
            "stats": self.stats,
        })
    }
}

fn key(gpu: &Value) -> (String, String) {
    (text(gpu, "node"), text(gpu, "id"))
}

fn list(value: &mut Value) -> Vec<Value> {
    value.as_array_mut().map(std::mem::take).unwrap_or_default()
}

/// A job's last column: why it waits, how far it is, or what went wrong before.
pub(super) fn remark(job: &Value) -> String {
    let why = text(&job["waiting"], "text");
    if !why.is_empty() {
        return brief_ids(&why);
    }
    let progress = job["progress"].as_object().map(|progress| {
        let parts = progress.iter().filter(|(key, _)| key.as_str() != "updated_at");
        parts.map(|(key, value)| plain(&format!("{key} {value}"))).collect::<Vec<_>>().join(", ")
    });
    let error = text(job, "error");
    let before = if error.is_empty() { String::new() } else { format!("before: {error}") };
    progress.filter(|progress| !progress.is_empty()).unwrap_or(before)
}
