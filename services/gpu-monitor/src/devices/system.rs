//! The host's own memory.

use domain::nodes::Reading;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The host's memory, in MiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// All of it.
    pub total_mb: Reading<u64>,
    /// What can be used without swapping.
    pub available_mb: Reading<u64>,
}

impl System {
    /// Reads it. `proc` is where the host's `/proc` is.
    pub fn read(proc: &Path) -> Self {
        match std::fs::read_to_string(proc.join("meminfo")) {
            Ok(text) => Self::parse(&text),
            Err(error) => {
                let missing = || Reading::unavailable(format!("the kernel's memory figures cannot be read: {error}"));
                Self { total_mb: missing(), available_mb: missing() }
            }
        }
    }

    fn parse(text: &str) -> Self {
        Self { total_mb: figure(text, "MemTotal:"), available_mb: figure(text, "MemAvailable:") }
    }
}

fn figure(text: &str, name: &str) -> Reading<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.map_or_else(
        || Reading::unavailable(format!("the kernel's memory figures have no {}", name.trim_end_matches(':'))),
        |kib| Reading::measured(kib / 1024),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_kernel_are_read_and_a_missing_one_says_so() {
        let system = System::parse("MemTotal:       24684152 kB\nMemFree:  1 kB\n");
        assert_eq!(system.total_mb, Reading::measured(24_105));
        assert_eq!(system.available_mb, Reading::unavailable("the kernel's memory figures have no MemAvailable"));
    }
}
