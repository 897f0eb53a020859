//! Settings of the scheduler; the only file with the names of its variables.

use placement::Policy;
use service::config::{ConfigError, Reader};
use std::collections::BTreeMap;
use std::time::Duration;

/// How this process schedules.
#[derive(Clone, Debug)]
pub struct Config {
    /// The numbers of the rules.
    pub policy: Policy,
    /// After how long an idle service is stopped, unless it says otherwise.
    pub idle_timeout: Duration,
    /// How long ended jobs are remembered.
    pub retention: Duration,
    /// How many ended jobs are remembered at most.
    pub remembered: usize,
    /// Whether services may be registered at loopback and private addresses.
    pub private_addresses: bool,
    /// Where the containers of a node are reached; a node that is not named is this host.
    pub node_addresses: BTreeMap<String, String>,
    /// Steps of the log between two snapshots.
    pub snapshot_every: u64,
    /// How often services in poll mode are asked for progress.
    pub poll_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            idle_timeout: Duration::from_secs(300),
            retention: Duration::from_secs(24 * 3_600),
            remembered: 10_000,
            private_addresses: false,
            node_addresses: BTreeMap::new(),
            snapshot_every: 5_000,
            poll_every: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        reader.section("scheduler");
        let usual = Self::default();
        let idle_timeout = reader
            .value::<u64>("GANTRY_IDLE_TIMEOUT_S")
            .alias("IDLE_TIMEOUT_SECONDS")
            .about("seconds after which a service that the scheduler started is stopped when idle")
            .within(1..=31_536_000)
            .default(usual.idle_timeout.as_secs())?;
        let gap = reader
            .value::<i32>("GANTRY_PREEMPT_PRIORITY_GAP")
            .alias("PREEMPT_PRIORITY_GAP")
            .about("how much more urgent a waiting job must be to preempt a running one")
            .within(1..=1_000_000)
            .default(usual.policy.preempt_priority_gap)?;
        let min_runtime = reader
            .value::<u64>("GANTRY_MIN_RUNTIME_MS")
            .about("milliseconds that a job runs before it may be preempted")
            .within(0..=86_400_000)
            .default(usual.policy.min_runtime_ms)?;
        let drain_timeout = reader
            .value::<u64>("GANTRY_DRAIN_TIMEOUT_MS")
            .about("milliseconds that a stop asked for with draining waits for running jobs")
            .within(0..=86_400_000)
            .default(usual.policy.drain_timeout_ms)?;
        let interrupt_grace = reader
            .value::<u64>("GANTRY_INTERRUPT_GRACE_MS")
            .about("milliseconds that a job told to stop may take before its container is stopped")
            .within(0..=3_600_000)
            .default(usual.policy.interrupt_grace_ms)?;
        let retention = reader
            .value::<u64>("GANTRY_JOB_RETENTION_S")
            .about("seconds for which ended jobs are remembered")
            .within(1..=31_536_000)
            .default(usual.retention.as_secs())?;
        let remembered = reader
            .value::<usize>("GANTRY_JOBS_REMEMBERED")
            .about("how many ended jobs are remembered at most")
            .within(1..=1_000_000)
            .default(usual.remembered)?;
        let private_addresses = reader
            .value::<bool>("GANTRY_SERVICE_PRIVATE_ADDRESSES")
            .about("whether services may be registered by URL at loopback and private addresses")
            .default(false)?;
        let nodes = reader
            .value::<String>("GANTRY_NODE_ADDRESSES")
            .about("where the containers of GPU hosts are reached: gpu-1=10.0.0.5,gpu-2=10.0.0.6; others are this host")
            .check("a list such as gpu-1=10.0.0.5,gpu-2=10.0.0.6", |text: &String| node_addresses(text).is_some())
            .default(String::new())?;
        let policy = Policy {
            preempt_priority_gap: gap,
            min_runtime_ms: min_runtime,
            drain_timeout_ms: drain_timeout,
            interrupt_grace_ms: interrupt_grace,
            ..usual.policy.clone()
        };
        Ok(Self {
            policy,
            idle_timeout: Duration::from_secs(idle_timeout),
            retention: Duration::from_secs(retention),
            remembered,
            private_addresses,
            node_addresses: node_addresses(&nodes).unwrap_or_default(),
            ..usual
        })
    }
}

fn node_addresses(text: &str) -> Option<BTreeMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (node, host) = pair.split_once('=')?;
            let (node, host) = (node.trim(), host.trim());
            let plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
            (!node.is_empty() && plain).then(|| (node.to_owned(), host.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_plain_host_is_refused() {
        assert_eq!(node_addresses(" a=10.0.0.5, b=[::1]").map(|map| map.len()), Some(2));
        assert_eq!(node_addresses("a=http://x/"), None);
        assert_eq!(node_addresses("a"), None);
    }
}
