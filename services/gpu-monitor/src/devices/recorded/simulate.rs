//! Recordings of GPUs that do not exist, for demonstrations on a machine without any. They say so in their names.

use super::{Frame, Sample};
use crate::devices::{RawDevice, RawProcess};
use domain::nodes::{Owner, ProcessKind, Reading};

const TOTAL_MB: u64 = 24_564;

/// `seconds` frames of `gpus` GPUs, one a second: each loads a model, works, and lets go of it again, one after another.
pub fn simulated(gpus: u32, seconds: u64) -> Vec<Frame> {
    let at = |second: u64| Frame {
        at_ms: second * 1_000,
        sample: Sample {
            devices: (0..gpus).map(|index| device(index, second, seconds.max(1))).collect(),
            system: None,
        },
    };
    (0..seconds.max(1)).map(at).collect()
}

fn device(index: u32, second: u64, seconds: u64) -> RawDevice {
    // Where this GPU is in its round, in thousandths; each GPU begins a little later than the one before.
    let round = (second * 1_000 / seconds + u64::from(index) * 250) % 1_000;
    let (held, busy) = match round {
        0..=199 => (round * 80, 5),
        200..=699 => (16_000, 60 + u32::try_from(round % 35).unwrap_or(0)),
        700..=749 => ((750 - round) * 320, 2),
        _ => (0, 0),
    };
    let used = 310 + held;
    let process = RawProcess {
        pid: 4_000 + index,
        name: Some("simulated-model-server".to_owned()),
        kind: ProcessKind::Compute,
        memory_mb: Reading::measured(held),
        owner: Some(Reading::measured(Owner::Host)),
    };
    RawDevice {
        id: format!("GPU-00000000-0000-4000-8000-{index:012}"),
        index,
        name: "Simulated GPU".to_owned(),
        total_mb: Reading::measured(TOTAL_MB),
        used_mb: Reading::measured(used),
        free_mb: Reading::measured(TOTAL_MB - used),
        utilisation_percent: Reading::measured(busy),
        temperature_c: Reading::measured(38 + busy / 3),
        power_w: Reading::measured(25.0 + f64::from(busy) * 3.5),
        processes: Reading::measured(if held > 0 { vec![process] } else { Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_round_holds_memory_lets_go_of_it_and_says_that_it_is_simulated() {
        let frames = simulated(2, 60);
        let used = |frame: &Frame| *frame.sample.devices[0].used_mb.value().unwrap();
        assert_eq!((frames.len(), used(&frames[0])), (60, 310));
        assert!(frames.iter().any(|frame| used(frame) == 16_310));
        assert_eq!(used(&frames[59]), 310);
        assert!(frames.iter().all(|frame| frame.sample.devices.iter().all(|device| device.name.contains("Simulated"))));
    }
}
