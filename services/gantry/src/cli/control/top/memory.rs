//! How a GPU's memory is shared out, as figures and as the cells of a bar.

use serde_json::Value;

/// A GPU's memory in four parts that add up to all of it, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Measured use of registered services.
    pub ours: u64,
    /// Use that no service accounts for.
    pub foreign: u64,
    /// Set aside for services that do not use it yet.
    pub reserved: u64,
    /// The rest.
    pub free: u64,
}

impl Memory {
    /// Of a GPU as `/vram` shows it. Where nothing is measured, what is set aside is all that is known.
    pub(super) fn of(device: &Value) -> Self {
        let number = |key: &str| device[key].as_u64().unwrap_or(0);
        let (total, foreign) = (number("total_mb"), number("foreign_mb"));
        let holders = device["holders"].as_array().map(Vec::as_slice).unwrap_or_default();
        let measured: Option<u64> = holders.iter().map(|holder| holder["measured_mb"].as_u64()).sum();
        // Memory that cannot be attributed is what is used and not foreign.
        let used = device["used_mb"].as_u64();
        let ours = measured.or(used.map(|used| used.saturating_sub(foreign))).unwrap_or(0).min(total);
        let foreign = foreign.min(total - ours);
        let reserved = number("reserved_mb").saturating_sub(ours).min(total - ours - foreign);
        Self { ours, foreign, reserved, free: total - ours - foreign - reserved }
    }

    /// All of it.
    pub(super) fn total(self) -> u64 {
        self.ours + self.foreign + self.reserved + self.free
    }

    /// The parts as cells of a bar of that width: what is there has a cell, and all cells are used.
    pub(super) fn cells(self, width: u16) -> [u16; 4] {
        let parts = [self.ours, self.foreign, self.reserved, self.free];
        let total = self.total();
        if total == 0 {
            return [0, 0, 0, width];
        }
        let share = |part: u64| {
            let cells = u16::try_from(part * u64::from(width) / total).unwrap_or(width);
            if part > 0 { cells.max(1) } else { 0 }
        };
        let mut cells = parts.map(share);
        loop {
            let sum: u16 = cells.iter().sum();
            // The widest part gives or takes: there it shows least.
            let Some(widest) = (0..4).max_by_key(|part| cells[*part]) else { return cells };
            match sum.cmp(&width) {
                std::cmp::Ordering::Equal => return cells,
                std::cmp::Ordering::Less => cells[widest] += width - sum,
                std::cmp::Ordering::Greater if cells[widest] == 0 => return cells,
                std::cmp::Ordering::Greater => cells[widest] -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_set_aside_and_not_used_yet_is_told_apart_from_what_is_used() {
        let device = json!({"total_mb": 24_000, "reserved_mb": 12_000, "used_mb": 9_000, "foreign_mb": 1_000,
            "holders": [{"service": "a", "reserved_mb": 12_000, "measured_mb": 8_000}]});
        assert_eq!(Memory::of(&device), Memory { ours: 8_000, foreign: 1_000, reserved: 4_000, free: 11_000 });
        let unattributed = json!({"total_mb": 100, "reserved_mb": 10, "used_mb": 50, "foreign_mb": 20,
            "holders": [{"service": "a", "reserved_mb": 10, "measured_mb": null}]});
        assert_eq!(Memory::of(&unattributed), Memory { ours: 30, foreign: 20, reserved: 0, free: 50 });
        let unmeasured = json!({"total_mb": 100, "reserved_mb": 10, "used_mb": null, "foreign_mb": 0,
            "holders": [{"service": "a", "reserved_mb": 10, "measured_mb": null}]});
        assert_eq!(Memory::of(&unmeasured), Memory { ours: 0, foreign: 0, reserved: 10, free: 90 });
        assert_eq!(Memory::of(&json!({})).cells(10), [0, 0, 0, 10]);
    }

    proptest! {
        #[test]
        fn a_bar_is_full_and_hides_no_part(ours in 0_u64..99_999, foreign in 0_u64..99_999, reserved in 0_u64..99_999,
            free in 0_u64..99_999, width in 4_u16..200) {
            let memory = Memory { ours, foreign, reserved, free };
            let cells = memory.cells(width);
            prop_assert_eq!(cells.iter().sum::<u16>(), width);
            if memory.total() > 0 {
                for (part, cells) in [ours, foreign, reserved, free].into_iter().zip(cells) {
                    prop_assert_eq!(part > 0, cells > 0);
                }
            }
        }
    }
}
