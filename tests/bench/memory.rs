//! Resident memory of the processes.

use crate::gateway::Gateway;

pub(crate) fn report(gateway: &Gateway) {
    let Some(pid) = gateway.child.id() else { return };
    let broker = std::fs::read_to_string(gateway.directory.path().join("nats/server.pid")).ok();
    let broker = broker.and_then(|text| text.trim().parse().ok());
    println!(
        "memory                          gateway {:.0} MB, broker {:.0} MB",
        resident_mb(pid),
        broker.map_or(f64::NAN, resident_mb)
    );
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> =
        line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}
