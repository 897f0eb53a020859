//! What the processes cost: resident memory, and processor time, which says more than a rate does on a busy machine.

use crate::gateway::Gateway;
use std::fmt;

/// Ticks of a second in `/proc/PID/stat`; the kernel's interface has them fixed.
const TICKS: f64 = 100.0;

/// Processor time so far, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    gateway: f64,
    broker: f64,
}

/// Processor time of one run, in milliseconds.
pub(crate) struct Each {
    gateway: f64,
    broker: f64,
}

impl Spent {
    pub(crate) fn by(gateway: &Gateway) -> Self {
        let (own, broker) = processes(gateway);
        let spent = |pid: Option<u32>| pid.map_or(f64::NAN, processor_seconds);
        Self { gateway: spent(own), broker: spent(broker) }
    }

    /// What so many runs since then have cost each.
    pub(crate) fn each(self, gateway: &Gateway, runs: usize) -> Each {
        let now = Self::by(gateway);
        let each = |before: f64, now: f64| (now - before) * 1e3 / runs.max(1) as f64;
        Each { gateway: each(self.gateway, now.gateway), broker: each(self.broker, now.broker) }
    }
}

impl fmt::Display for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {:.2} + broker {:.2} ms", self.gateway, self.broker)
    }
}

/// One line on memory.
pub(crate) fn memory(gateway: &Gateway) -> String {
    let (own, broker) = processes(gateway);
    let resident = |pid: Option<u32>| pid.map_or(f64::NAN, resident_mb);
    format!("gateway {:.0} MB, broker {:.0} MB", resident(own), resident(broker))
}

fn processes(gateway: &Gateway) -> (Option<u32>, Option<u32>) {
    let broker = std::fs::read_to_string(gateway.directory.path().join("nats/server.pid")).ok();
    (gateway.child.id(), broker.and_then(|text| text.trim().parse().ok()))
}

pub(crate) fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> =
        line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

/// User and system time. The fields are counted behind the program's name, which may hold blanks.
pub(crate) fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Time on a core of all threads of a process, in seconds and finer than ticks.
pub(crate) fn core_seconds(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| on_core(&thread.path().join("schedstat"))).sum()
}

/// Time on a core of this thread, in seconds.
pub(crate) fn thread_seconds() -> f64 {
    on_core(std::path::Path::new("/proc/thread-self/schedstat"))
}

fn on_core(schedstat: &std::path::Path) -> f64 {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).map_or(f64::NAN, |nanos| nanos / 1e9)
}

/// A process and its children.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid).chain(children.split_whitespace().filter_map(|word| word.parse().ok())).collect()
}
