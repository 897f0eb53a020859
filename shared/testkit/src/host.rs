//! A GPU host without a GPU: what its agent is told to see.

#![expect(clippy::expect_used, reason = "a test without its host has nothing to go on with")]

use domain::nodes::Reading;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Memory of the GPU that a test's host says it has, in MiB.
pub const GPU_MB: u64 = 8_192;

/// A recording of one GPU that nobody uses.
pub(crate) fn recording(dir: &Path) -> PathBuf {
    let nobody: Vec<u32> = Vec::new();
    let device = json!({
        "id": "GPU-00000000-0000-4000-8000-000000000000",
        "index": 0,
        "name": "Simulated GPU",
        "total_mb": Reading::measured(GPU_MB),
        "used_mb": Reading::measured(0),
        "free_mb": Reading::measured(GPU_MB),
        "utilisation_percent": Reading::measured(0),
        "temperature_c": Reading::measured(40),
        "power_w": Reading::measured(25.0),
        "processes": Reading::measured(nobody),
    });
    let path = dir.join("gpu.jsonl");
    std::fs::write(&path, json!({"at_ms": 0, "devices": [device]}).to_string()).expect("a recording is written");
    path
}

/// Lets this process, and those it starts from now on, open as many files as the system allows at most.
pub fn open_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, whoever needs the files will say so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A port that nobody uses, nor will for an outgoing connection while its server restarts.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    nats_process::free_port().expect("a free port")
}
