//! What is registered of a service, and what was learned of it by watching.

use crate::{Container, GpuId, Holder, NodeId, Place, Policy, Seat, ServiceName, ServiceType};
use domain::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A registered service: one container that does one type of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The type of job it takes.
    pub service_type: ServiceType,
    /// Declared memory in all; divided evenly over its GPUs.
    pub vram_mb: u64,
    /// How many GPUs of one node it needs. None means that it needs no GPU at all.
    pub gpus: u16,
    /// Whose room is taken first when several are idle: the highest number's.
    pub priority: i32,
    /// Jobs that it does at once.
    pub max_concurrency: u32,
    /// How long it may be idle before it is stopped; none means for ever.
    pub idle_timeout_ms: Option<u64>,
    /// How long a job runs on it before it may be preempted.
    pub min_runtime_ms: Option<u64>,
    /// How long one attempt may take.
    pub job_timeout_ms: u64,
    /// How long it may take to become healthy.
    pub start_timeout_ms: Option<u64>,
    /// The nodes that have its container; empty means all.
    pub nodes: BTreeSet<NodeId>,
    /// The GPUs it may use; empty means all.
    pub devices: BTreeSet<GpuId>,
    /// Whether it takes jobs.
    pub enabled: bool,
}

impl Service {
    /// A service on one GPU with the contract's defaults.
    pub fn new(name: impl Into<ServiceName>, service_type: impl Into<ServiceType>, vram_mb: u64) -> Self {
        Self {
            name: name.into(),
            service_type: service_type.into(),
            vram_mb,
            gpus: u16::from(vram_mb > 0),
            priority: 3,
            max_concurrency: 1,
            idle_timeout_ms: Some(300_000),
            min_runtime_ms: None,
            job_timeout_ms: 300_000,
            start_timeout_ms: None,
            nodes: BTreeSet::new(),
            devices: BTreeSet::new(),
            enabled: true,
        }
    }

    /// The declared memory on each of its GPUs.
    pub fn declared_per_gpu_mb(&self) -> u64 {
        self.vram_mb.div_ceil(u64::from(self.gpus.max(1)))
    }
}

/// A service with all that the cluster knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// What was registered.
    pub service: Service,
    /// Its container.
    pub container: Container,
    /// The most memory it was seen to use.
    pub learned: Learned,
    /// How long its jobs took.
    pub runtimes: Spans,
    /// How long its starts took.
    pub starts: Spans,
    /// The jobs that hold its slots.
    pub running: BTreeSet<Place>,
    /// The seats that proxies hold for requests.
    #[serde(default)]
    pub seats: BTreeMap<Holder, Seat>,
}

impl Registered {
    pub(crate) fn new(service: Service) -> Self {
        Self {
            service,
            container: Container::default(),
            learned: Learned::default(),
            runtimes: Spans::default(),
            starts: Spans::default(),
            running: BTreeSet::new(),
            seats: BTreeMap::new(),
        }
    }

    /// The memory to set aside on each of its GPUs: declared until enough was learned, and never less than was seen.
    pub fn need_mb(&self, policy: &Policy) -> u64 {
        if self.service.gpus == 0 {
            return 0;
        }
        let declared = self.service.declared_per_gpu_mb();
        let learned = self.learned.peak_mb.saturating_mul(100 + policy.vram_margin_percent).div_ceil(100);
        if self.learned.samples >= policy.learned_after && learned > 0 { learned } else { declared.max(learned) }
    }

    /// How long a start usually takes.
    pub fn typical_start_ms(&self, policy: &Policy) -> u64 {
        self.starts.quantile(50).unwrap_or(policy.assumed_start_ms)
    }

    /// How long it may work before it makes room for another at equal priority.
    pub fn batch_ms(&self, policy: &Policy) -> u64 {
        let wanted = self.typical_start_ms(policy).saturating_mul(policy.batch_factor);
        wanted.max(policy.batch_min_ms).min(policy.batch_max_ms)
    }

    /// How long its jobs run before they may be preempted.
    pub fn min_runtime_ms(&self, policy: &Policy) -> u64 {
        self.service.min_runtime_ms.unwrap_or(policy.min_runtime_ms)
    }

    /// How long its start may take.
    pub fn start_timeout_ms(&self, policy: &Policy) -> u64 {
        self.service.start_timeout_ms.unwrap_or(policy.start_timeout_ms)
    }

    /// Whether it works at requests.
    pub fn in_use(&self) -> bool {
        self.seats.values().any(|seat| seat.running)
    }

    /// The most urgent priority and oldest place of those whose requests wait for it, and since when they do.
    pub fn wish(&self) -> Option<(i32, Place, Time)> {
        let waiting = self.seats.values().filter(|seat| seat.waiting);
        waiting.map(|seat| (seat.priority, seat.place, seat.since)).min()
    }

    /// Neither a job nor a request is at work on it or waits for it alone.
    pub(crate) fn has_nothing_to_do(&self) -> bool {
        self.running.is_empty() && self.seats.is_empty()
    }

    /// The most urgent priority among its seats.
    pub(crate) fn most_urgent_seat(&self) -> Option<i32> {
        self.seats.values().map(|seat| seat.priority).min()
    }

    pub(crate) fn free_slots(&self) -> usize {
        (self.service.max_concurrency as usize).saturating_sub(self.running.len())
    }

    /// Whether it can take another job now.
    pub(crate) fn takes_jobs(&self) -> bool {
        self.service.enabled && self.container.serves() && self.free_slots() > 0
    }
}

/// The most memory that a service's container was seen to use on one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// The peak.
    pub peak_mb: u64,
    /// Runs of the container that were measured to their end.
    pub samples: u32,
}

/// The last lengths of something, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(VecDeque<u64>);

impl Spans {
    const KEPT: usize = 32;

    /// Adds one; the oldest beyond 32 is forgotten.
    pub fn record(&mut self, ms: u64) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(ms);
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length that `percent` of them do not exceed.
    pub fn quantile(&self, percent: usize) -> Option<u64> {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get((sorted.len().saturating_sub(1)) * percent.min(100) / 100).copied()
    }
}
