//! GPUs as the `nvidia-smi` program tells them, in comma-separated values.

use super::csv::fields;
use super::{ANSWER_WITHIN, RawDevice, RawProcess, Sample, Source, SourceError};
use async_trait::async_trait;
use domain::nodes::{ProcessKind, Reading, SourceKind};
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;
use tokio::process::Command;

const WHAT: &str = "nvidia-smi";
const GPU_FIELDS: &str = "--query-gpu=index,uuid,name,memory.total,memory.used,memory.free,\
                          utilization.gpu,temperature.gpu,power.draw";
const APP_FIELDS: &str = "--query-compute-apps=gpu_uuid,pid,process_name,used_memory";
const FORMAT: &str = "--format=csv,noheader,nounits";

/// The program. Each reading starts it twice, which costs some tens of milliseconds of a core.
#[derive(Debug)]
pub struct NvidiaSmi {
    program: PathBuf,
}

impl NvidiaSmi {
    /// The program of that name or path.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    async fn ask(&self, query: &str) -> Result<String, SourceError> {
        let mut command = Command::new(&self.program);
        command.args([query, FORMAT]).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(ANSWER_WITHIN, command.output())
            .await
            .map_err(|_| SourceError::Hung { what: WHAT })?
            .map_err(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    SourceError::NotInstalled { what: WHAT, cause: error.to_string() }
                } else {
                    failed(error.to_string())
                }
            })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        // It writes its complaints to the standard output.
        let words = format!("{} {}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
        Err(failed(format!("{} ({})", words.trim(), output.status)))
    }
}

#[async_trait]
impl Source for NvidiaSmi {
    fn kind(&self) -> SourceKind {
        SourceKind::NvidiaSmi
    }

    fn least_interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn read(&mut self) -> Result<Sample, SourceError> {
        let mut devices = parse_gpus(&self.ask(GPU_FIELDS).await?)?;
        match self.ask(APP_FIELDS).await.and_then(|text| parse_apps(&text)) {
            Ok(apps) => {
                for device in &mut devices {
                    let own = apps.iter().filter(|(gpu, _)| *gpu == device.id);
                    device.processes = Reading::measured(own.map(|(_, process)| process.clone()).collect());
                }
            }
            Err(error) => {
                for device in &mut devices {
                    device.processes = Reading::unavailable(error.to_string());
                }
            }
        }
        Ok(Sample { devices, system: None })
    }
}

/// The GPUs in an answer to [`GPU_FIELDS`]: one line each.
pub fn parse_gpus(text: &str) -> Result<Vec<RawDevice>, SourceError> {
    lines(text).map(gpu).collect()
}

fn gpu(line: &str) -> Result<RawDevice, SourceError> {
    let odd = || failed(format!("a line about a GPU is not understood: '{line}'"));
    let all = fields(line);
    let [index, id, name, total, used, free, utilisation, temperature, power] = all.as_slice() else {
        return Err(odd());
    };
    if !(id.starts_with("GPU-") || id.starts_with("MIG-")) {
        return Err(odd());
    }
    Ok(RawDevice {
        id: id.clone(),
        index: index.parse().map_err(|_| odd())?,
        name: name.clone(),
        total_mb: reading(total),
        used_mb: reading(used),
        free_mb: reading(free),
        utilisation_percent: reading(utilisation),
        temperature_c: reading(temperature),
        power_w: reading(power),
        processes: Reading::unavailable("not asked"),
    })
}

/// The processes in an answer to [`APP_FIELDS`], with the uuid of the GPU that each uses.
pub fn parse_apps(text: &str) -> Result<Vec<(String, RawProcess)>, SourceError> {
    lines(text).map(app).collect()
}

fn app(line: &str) -> Result<(String, RawProcess), SourceError> {
    let odd = || failed(format!("a line about a process is not understood: '{line}'"));
    let all = fields(line);
    // A program's name may hold commas, and not every version quotes it.
    let [gpu, pid, name @ .., memory] = all.as_slice() else { return Err(odd()) };
    if name.is_empty() {
        return Err(odd());
    }
    let name = name.join(",");
    let process = RawProcess {
        pid: pid.parse().map_err(|_| odd())?,
        name: (!is_missing(&name)).then_some(name),
        kind: ProcessKind::Compute,
        memory_mb: reading(memory),
        owner: None,
    };
    Ok((gpu.clone(), process))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("No "))
}

/// `[N/A]`, `[Not Supported]`, `[Insufficient Permissions]`, `Unknown Error` and the like.
fn is_missing(text: &str) -> bool {
    text.is_empty() || text.starts_with('[') || text == "N/A" || text == "Not Supported" || text == "Unknown Error"
}

fn reading<T: FromStr>(text: &str) -> Reading<T> {
    if is_missing(text) {
        return Reading::unavailable(format!("nvidia-smi says '{text}'"));
    }
    // Some versions write units although they were told not to.
    let number = text.split_whitespace().next().unwrap_or_default();
    match number.parse() {
        Ok(value) => Reading::measured(value),
        Err(_) => Reading::unavailable(format!("nvidia-smi says '{text}', which is no number")),
    }
}

fn failed(cause: String) -> SourceError {
    SourceError::Failed { what: WHAT, cause }
}
