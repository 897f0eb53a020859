//! What an agent costs that has nothing to do: two GPUs that do not exist, reported each second.

use crate::gateway::{Gateway, program};
use crate::processes::core_seconds;
use anyhow::{Result, bail};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// From its start to where it only reports.
const SETTLES: Duration = Duration::from_secs(2);

/// The share of a core that it takes over some seconds.
pub(crate) async fn idle(gateway: &Gateway, time: Duration) -> Result<f64> {
    let recording = gateway.directory.path().join("telemetry.ndjson");
    let made = Command::new(program()?)
        .args(["gpu-monitor", "simulate", "--gpus", "2", "--seconds", "60"])
        .arg(&recording)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await?;
    if !made.success() {
        bail!("no telemetry was made");
    }
    let (url, password) = gateway.broker()?;
    let mut agent = Command::new(program()?)
        .arg("gpu-monitor")
        .env("GANTRY_NODE_ID", "bench-agent")
        .env("GANTRY_NATS_URL", url)
        .env("GANTRY_NATS_USER", "gantry")
        .env("GANTRY_NATS_PASSWORD", password)
        .env("GANTRY_DATA_DIR", gateway.directory.path().join("agent"))
        .env("GANTRY_GPU_SOURCE", "recorded")
        .env("GANTRY_GPU_RECORDING", &recording)
        .env("GANTRY_PORT", "0")
        .env("GANTRY_LOG", "warn")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    tokio::time::sleep(SETTLES).await;
    let Some(pid) = agent.id() else { bail!("the agent ended") };
    let (before, began) = (core_seconds(pid), Instant::now());
    tokio::time::sleep(time).await;
    let share = (core_seconds(pid) - before) / began.elapsed().as_secs_f64();
    if agent.try_wait()?.is_some() {
        bail!("the agent ended");
    }
    agent.kill().await?;
    Ok(share)
}
