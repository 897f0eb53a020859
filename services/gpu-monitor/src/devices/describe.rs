//! What is concluded from a GPU's raw values: shared memory, reserves, and to whom its processes belong.

use super::{RawDevice, RawProcess, System, cgroup};
use domain::nodes::{DeviceProcess, DeviceReport, Memory, Owner, Reading};
use std::path::PathBuf;

/// Words in names of products whose GPU has no memory of its own. Only for these is the system's memory counted: on any
/// other GPU a missing figure stays missing.
const INTEGRATED: [&str; 8] = ["GB10", "Orin", "Xavier", "Thor", "Tegra", "Jetson", "nvgpu", "DGX Spark"];

/// What is kept free, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserves {
    /// On a GPU with memory of its own.
    pub(crate) own_mb: u64,
    /// On a GPU that shares the system's memory, for the system.
    pub(crate) unified_mb: u64,
}

/// Draws the conclusions.
#[derive(Clone, Debug)]
pub(crate) struct Describer {
    pub(crate) proc: PathBuf,
    pub(crate) reserves: Reserves,
}

impl Describer {
    /// The report on a GPU. `name_of` gives the name of a container by its id.
    pub(crate) fn describe(
        &self,
        raw: RawDevice,
        system: &System,
        name_of: &dyn Fn(&str) -> Option<String>,
    ) -> DeviceReport {
        let unified = is_integrated(&raw.name);
        let memory = if unified {
            shared(system)
        } else {
            Memory { total_mb: raw.total_mb, used_mb: raw.used_mb, free_mb: raw.free_mb }
        };
        let each = |processes: Vec<RawProcess>| processes.into_iter().map(|one| self.process(one, name_of)).collect();
        DeviceReport {
            id: raw.id,
            index: raw.index,
            name: raw.name,
            unified,
            memory,
            reserve_mb: if unified { self.reserves.unified_mb } else { self.reserves.own_mb },
            utilisation_percent: raw.utilisation_percent,
            temperature_c: raw.temperature_c,
            power_w: raw.power_w,
            processes: raw.processes.map(each),
        }
    }

    fn process(&self, raw: RawProcess, name_of: &dyn Fn(&str) -> Option<String>) -> DeviceProcess {
        let owner = raw.owner.unwrap_or_else(|| cgroup::owner(&self.proc, raw.pid));
        DeviceProcess {
            name: raw.name.map_or_else(|| cgroup::program(&self.proc, raw.pid), Reading::measured),
            pid: raw.pid,
            kind: raw.kind,
            memory_mb: raw.memory_mb,
            owner: owner.map(|owner| match owner {
                Owner::Container { id, name } => {
                    let name = name.or_else(|| name_of(&id));
                    Owner::Container { id, name }
                }
                Owner::Host => Owner::Host,
            }),
        }
    }
}

fn is_integrated(name: &str) -> bool {
    INTEGRATED.iter().any(|word| {
        name.match_indices(word).any(|(at, _)| {
            let (before, after) = (name[..at].chars().next_back(), name[at + word.len()..].chars().next());
            ![before, after].into_iter().flatten().any(|c| c.is_ascii_alphanumeric())
        })
    })
}

/// The memory of a GPU that shares the system's. What is reserved for the system is counted by whoever admits.
fn shared(system: &System) -> Memory {
    let because = |reading: &Reading<u64>| match reading {
        Reading::Unavailable { because } => because.clone(),
        Reading::Measured { .. } | Reading::Derived { .. } => String::new(),
    };
    match (system.total_mb.value(), system.available_mb.value()) {
        (Some(total), Some(available)) => Memory {
            total_mb: Reading::derived(*total, "the system's memory, which this GPU shares"),
            used_mb: Reading::derived(total.saturating_sub(*available), "the system's memory that is not available"),
            free_mb: Reading::derived(*available, "the system's available memory, which this GPU shares"),
        },
        (total, _) => {
            let missing = because(if total.is_none() { &system.total_mb } else { &system.available_mb });
            let none = || Reading::unavailable(missing.clone());
            Memory { total_mb: none(), used_mb: none(), free_mb: none() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::parse_gpus;

    fn describe(line: &str) -> DeviceReport {
        let describer =
            Describer { proc: PathBuf::from("/nowhere"), reserves: Reserves { own_mb: 256, unified_mb: 4_096 } };
        let system = System { total_mb: Reading::measured(24_105), available_mb: Reading::measured(20_000) };
        describer.describe(parse_gpus(line).unwrap().remove(0), &system, &|_| None)
    }

    #[test]
    fn only_a_product_known_to_share_memory_counts_the_systems() {
        let shared = describe("0, GPU-1, NVIDIA GB10, [N/A], [N/A], [N/A], 12, 44, 9.8");
        assert!(shared.unified);
        assert_eq!(shared.memory.total_mb.value(), Some(&24_105));
        assert_eq!(shared.admissible_mb(), Some(20_000 - 4_096));
        let hidden = describe("0, GPU-1, NVIDIA H100, [N/A], [N/A], [N/A], [N/A], 40, 70");
        assert!(!hidden.unified);
        assert_eq!((hidden.memory.total_mb.value(), hidden.admissible_mb()), (None, None));
    }

    #[test]
    fn a_product_is_known_by_whole_words() {
        for name in ["NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Jetson AGX Orin", "Tegra"] {
            assert!(is_integrated(name), "{name}");
        }
        for name in ["NVIDIA GB100", "NVIDIA GeForce RTX 4090", "NVIDIA Thorium", ""] {
            assert!(!is_integrated(name), "{name}");
        }
    }
}
