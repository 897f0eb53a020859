//! What an idle agent costs: its share of one core over some seconds, with a broker of its own and this machine's engine.
//!
//! `cargo run -p gpu-monitor --example idle -- [seconds] [container engine]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement to be read by a person")]

use bus::{BusOptions, Connection, NodeUpdate};
use domain::nodes::NodeId;
use gpu_monitor::devices::{Choice, simulated};
use gpu_monitor::{Config, Parts};
use nats_process::Server;
use service::{Health, Tasks};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(20, |text| text.parse().unwrap());
    let engine = arguments.next().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let server = Server::builder().start().await.unwrap();
    let connection = Connection { urls: vec![server.url()], name: "idle".to_owned(), ..Default::default() };
    let bus = bus::connect(&connection, BusOptions { shards: Some(1), replicas: 1 }).await.unwrap();
    // Eight GPUs that stand still: read every second, told only as a sign of life.
    let mut recording = tempfile::NamedTempFile::new().unwrap();
    writeln!(recording, "{}", serde_json::to_string(&simulated(8, 1)[0]).unwrap()).unwrap();
    let config = Config {
        node: NodeId::new("idle").unwrap(),
        source: Choice::Recorded(recording.path().to_owned()),
        nvidia_smi: PathBuf::from("nvidia-smi"),
        interval: Duration::from_secs(1),
        reserve_mb: 256,
        unified_reserve_mb: 4_096,
        engine,
        volume_roots: Vec::new(),
        proc: PathBuf::from("/proc"),
    };
    let tasks = Tasks::new();
    gpu_monitor::spawn(Parts { bus: bus.clone(), config, health: Health::new() }, &tasks);
    let mut watch = bus.nodes().watch();
    let settle = Instant::now() + Duration::from_secs(3);
    while timeout_at(settle, watch.next()).await.is_ok() {}

    let (before, began, mut reports) = (cpu_ms(), Instant::now(), 0_u32);
    while let Ok(update) = timeout_at(began + Duration::from_secs(seconds), watch.next()).await {
        reports += u32::from(matches!(update, NodeUpdate::Report(_)));
    }
    let (used, elapsed) = (cpu_ms() - before, began.elapsed());
    let percent = f64::from(u32::try_from(used).unwrap()) / 10.0 / elapsed.as_secs_f64();
    println!("{percent:.2} % of a core over {seconds} s ({used} ms), {reports} reports, a listener included");
    tasks.stop(Duration::from_secs(5)).await;
}

/// Processor time of this process, user and system, from the kernel's ticks of 10 ms.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
