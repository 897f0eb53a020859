//! Which reports are worth sending: figures tremble, and a report costs everybody who listens.

use domain::nodes::{DeviceProcess, DeviceReport, Devices, NodeReport, Reading};

/// Memory that comes or goes by less than this is no news.
const MEMORY_MB: u64 = 64;
const UTILISATION_PERCENT: f64 = 10.0;
const TEMPERATURE_C: f64 = 3.0;
const POWER_W: f64 = 15.0;

/// Whether a report says something that the last one sent did not.
pub(crate) fn is_worth_telling(last: &NodeReport, now: &NodeReport) -> bool {
    last.instance != now.instance || last.engine != now.engine || devices_differ(&last.devices, &now.devices)
}

fn devices_differ(last: &Devices, now: &Devices) -> bool {
    match (last, now) {
        (Devices::Seen { source: before, devices: last }, Devices::Seen { source, devices: now }) => {
            before != source
                || last.len() != now.len()
                || last.iter().zip(now).any(|(last, now)| device_differs(last, now))
        }
        (last, now) => last != now,
    }
}

fn device_differs(last: &DeviceReport, now: &DeviceReport) -> bool {
    let memory = |last: &Reading<u64>, now: &Reading<u64>| differ(last, now, |a, b| a.abs_diff(*b) >= MEMORY_MB);
    let apart = |least: f64| move |a: &u32, b: &u32| f64::from(a.abs_diff(*b)) >= least;
    last.id != now.id
        || (last.index, last.reserve_mb, last.unified) != (now.index, now.reserve_mb, now.unified)
        || memory(&last.memory.total_mb, &now.memory.total_mb)
        || memory(&last.memory.used_mb, &now.memory.used_mb)
        || memory(&last.memory.free_mb, &now.memory.free_mb)
        || differ(&last.utilisation_percent, &now.utilisation_percent, apart(UTILISATION_PERCENT))
        || differ(&last.temperature_c, &now.temperature_c, apart(TEMPERATURE_C))
        || differ(&last.power_w, &now.power_w, |a, b| (a - b).abs() >= POWER_W)
        || differ(&last.processes, &now.processes, |last, now| processes_differ(last, now))
}

fn processes_differ(last: &[DeviceProcess], now: &[DeviceProcess]) -> bool {
    let differs = |last: &DeviceProcess, now: &DeviceProcess| {
        last.pid != now.pid
            || last.owner != now.owner
            || differ(&last.memory_mb, &now.memory_mb, |a, b| a.abs_diff(*b) >= MEMORY_MB)
    };
    last.len() != now.len() || last.iter().zip(now).any(|(last, now)| differs(last, now))
}

/// Whether two readings differ: one has a value and the other has none, or the values are apart.
fn differ<T>(last: &Reading<T>, now: &Reading<T>, apart: impl FnOnce(&T, &T) -> bool) -> bool {
    match (last.value(), now.value()) {
        (Some(last), Some(now)) => apart(last, now),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{RawDevice, parse_gpus};
    use domain::Time;
    use domain::nodes::{EngineReport, Memory, NodeId, SourceKind};

    fn report(line: &str) -> NodeReport {
        let raw: RawDevice = parse_gpus(line).unwrap().remove(0);
        let device = DeviceReport {
            id: raw.id,
            index: raw.index,
            name: raw.name,
            unified: false,
            memory: Memory { total_mb: raw.total_mb, used_mb: raw.used_mb, free_mb: raw.free_mb },
            reserve_mb: 0,
            utilisation_percent: raw.utilisation_percent,
            temperature_c: raw.temperature_c,
            power_w: raw.power_w,
            processes: Reading::measured(Vec::new()),
        };
        NodeReport {
            node: NodeId::new("n1").unwrap(),
            instance: "a".to_owned(),
            number: 1,
            at: Time::from_micros(0),
            version: String::new(),
            devices: Devices::Seen { source: SourceKind::Nvml, devices: vec![device] },
            engine: EngineReport::Down { because: "x".to_owned() },
            system_total_mb: Reading::measured(1),
            system_available_mb: Reading::measured(1),
        }
    }

    #[test]
    fn trembling_figures_are_no_news_and_real_changes_are() {
        let still = report("0, GPU-1, X, 24564, 8192, 16372, 50, 61, 287.5");
        let trembling = report("0, GPU-1, X, 24564, 8200, 16364, 55, 62, 291.0");
        assert!(!is_worth_telling(&still, &trembling));
        for line in [
            "0, GPU-1, X, 24564, 8292, 16272, 50, 61, 287.5",
            "0, GPU-1, X, 24564, 8192, 16372, 60, 61, 287.5",
            "0, GPU-1, X, 24564, 8192, 16372, 50, 65, 287.5",
            "0, GPU-1, X, 24564, 8192, 16372, 50, 61, [N/A]",
            "0, GPU-2, X, 24564, 8192, 16372, 50, 61, 287.5",
        ] {
            assert!(is_worth_telling(&still, &report(line)), "{line}");
        }
        let mut gone = still.clone();
        gone.devices = Devices::Absent { because: "x".to_owned() };
        assert!(is_worth_telling(&still, &gone));
    }
}
