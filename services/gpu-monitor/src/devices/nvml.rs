//! GPUs as NVIDIA's management library tells them. The library comes with the driver and is loaded when the agent runs.

use super::{ANSWER_WITHIN, RawDevice, RawProcess, Sample, Source, SourceError};
use async_trait::async_trait;
use domain::nodes::{ProcessKind, Reading, SourceKind};
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const WHAT: &str = "the NVIDIA management library";
const MIB: u64 = 1024 * 1024;

/// The loaded library.
pub struct Nvml {
    library: Arc<nvml_wrapper::Nvml>,
    under_way: Option<JoinHandle<Result<Vec<RawDevice>, SourceError>>>,
}

impl Nvml {
    /// Loads it. Fails where there is no driver.
    pub async fn open() -> Result<Self, SourceError> {
        let opening = tokio::task::spawn_blocking(nvml_wrapper::Nvml::init);
        let opened =
            tokio::time::timeout(ANSWER_WITHIN, opening).await.map_err(|_| SourceError::Hung { what: WHAT })?;
        match opened.map_err(|error| failed(&error))? {
            Ok(library) => Ok(Self { library: Arc::new(library), under_way: None }),
            Err(NvmlError::LibloadingError(error)) => {
                Err(SourceError::NotInstalled { what: WHAT, cause: error.to_string() })
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl Source for Nvml {
    fn kind(&self) -> SourceKind {
        SourceKind::Nvml
    }

    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// The library may block for long: it is called on a thread of its own, and never twice at once.
    async fn read(&mut self) -> Result<Sample, SourceError> {
        let library = self.library.clone();
        let mut reading =
            self.under_way.take().unwrap_or_else(|| tokio::task::spawn_blocking(move || read_all(&library)));
        match tokio::time::timeout(ANSWER_WITHIN, &mut reading).await {
            Ok(done) => Ok(Sample { devices: done.map_err(|error| failed(&error))??, system: None }),
            Err(_) => {
                self.under_way = Some(reading);
                Err(SourceError::Hung { what: WHAT })
            }
        }
    }
}

fn read_all(library: &nvml_wrapper::Nvml) -> Result<Vec<RawDevice>, SourceError> {
    let count = library.device_count().map_err(|error| failed(&error))?;
    (0..count).map(|index| read_one(library, index)).collect()
}

fn read_one(library: &nvml_wrapper::Nvml, index: u32) -> Result<RawDevice, SourceError> {
    let named = |error: NvmlError| SourceError::Failed { what: WHAT, cause: format!("GPU {index}: {error}") };
    let device = library.device_by_index(index).map_err(named)?;
    let memory = device.memory_info();
    let part = |pick: fn(&nvml_wrapper::struct_wrappers::device::MemoryInfo) -> u64| match &memory {
        Ok(memory) => Reading::measured(pick(memory) / MIB),
        Err(error) => Reading::unavailable(error.to_string()),
    };
    Ok(RawDevice {
        id: device.uuid().map_err(named)?,
        index,
        name: device.name().map_err(named)?,
        total_mb: part(|memory| memory.total),
        used_mb: part(|memory| memory.used),
        free_mb: part(|memory| memory.free),
        utilisation_percent: reading(device.utilization_rates().map(|rates| rates.gpu)),
        temperature_c: reading(device.temperature(TemperatureSensor::Gpu)),
        power_w: reading(device.power_usage().map(|milliwatts| f64::from(milliwatts) / 1_000.0)),
        processes: processes(&device),
    })
}

/// A process that computes and draws is in both lists, with the same memory in each.
fn processes(device: &Device<'_>) -> Reading<Vec<RawProcess>> {
    let computing = match device.running_compute_processes() {
        Ok(found) => found,
        Err(error) => return Reading::unavailable(error.to_string()),
    };
    // Data-centre products have no graphics and say that it is not supported.
    let drawing = device.running_graphics_processes().unwrap_or_default();
    let mut all: BTreeMap<u32, RawProcess> = BTreeMap::new();
    for (found, kind) in [(computing, ProcessKind::Compute), (drawing, ProcessKind::Graphics)] {
        for info in found {
            let both = |known: &mut RawProcess| {
                if known.kind != kind {
                    known.kind = ProcessKind::Both;
                }
            };
            all.entry(info.pid).and_modify(both).or_insert_with(|| process(&info, kind));
        }
    }
    Reading::measured(all.into_values().collect())
}

fn process(info: &ProcessInfo, kind: ProcessKind) -> RawProcess {
    let memory_mb = match info.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Reading::measured(bytes / MIB),
        UsedGpuMemory::Unavailable => Reading::unavailable("the driver does not tell memory by process here"),
    };
    RawProcess { pid: info.pid, name: None, kind, memory_mb, owner: None }
}

fn reading<T>(value: Result<T, NvmlError>) -> Reading<T> {
    match value {
        Ok(value) => Reading::measured(value),
        Err(error) => Reading::unavailable(error.to_string()),
    }
}

fn failed(error: &dyn std::fmt::Display) -> SourceError {
    SourceError::Failed { what: WHAT, cause: error.to_string() }
}
