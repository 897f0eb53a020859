//! Which steps' effects this process has performed, so that it does not send them again.

use domain::{Plane, RunId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Runs remembered before the older half is forgotten. Forgetting only means sending again, which is harmless.
const MOST: usize = 20_000;

/// The last step of each run whose effects this process performed.
#[derive(Default)]
pub(crate) struct Performed {
    runs: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<(Plane, RunId), u64>,
    old: HashMap<(Plane, RunId), u64>,
}

impl Performed {
    pub(crate) fn note(&self, plane: &Plane, run: &RunId, sequence: u64) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.young.insert((plane.clone(), run.clone()), sequence);
        if runs.young.len() >= MOST {
            runs.old = std::mem::take(&mut runs.young);
        }
    }

    pub(crate) fn has(&self, plane: &Plane, run: &RunId, sequence: u64) -> bool {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (plane.clone(), run.clone());
        runs.young.get(&key).or_else(|| runs.old.get(&key)) == Some(&sequence)
    }
}
