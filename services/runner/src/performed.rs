//! Which steps' effects this process has performed, so that it does not send them again.

use domain::{Plane, RunId};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Runs remembered before the older half is forgotten. Forgetting only means sending again, which is harmless.
const MOST: usize = 8_192;

/// A run by two independent hashes: many thousand names would take megabytes, and two runs never share both.
type Key = (u64, u64);

/// The last step of each run whose effects this process performed.
#[derive(Default)]
pub(crate) struct Performed {
    hashers: (RandomState, RandomState),
    runs: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, u64>,
    old: HashMap<Key, u64>,
}

impl Performed {
    fn key(&self, plane: &Plane, run: &RunId) -> Key {
        let (one, other) = &self.hashers;
        (one.hash_one((plane, run)), other.hash_one((plane, run)))
    }

    pub(crate) fn note(&self, plane: &Plane, run: &RunId, sequence: u64) {
        let key = self.key(plane, run);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.young.insert(key, sequence);
        if runs.young.len() >= MOST {
            runs.old = std::mem::take(&mut runs.young);
        }
    }

    pub(crate) fn has(&self, plane: &Plane, run: &RunId, sequence: u64) -> bool {
        let key = self.key(plane, run);
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.young.get(&key).or_else(|| runs.old.get(&key)) == Some(&sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_of_a_run_is_known_by_plane_and_run_until_many_others_have_come() {
        let (performed, plane, run) = (Performed::default(), Plane::main(), RunId::new("r"));
        performed.note(&plane, &run, 1);
        performed.note(&plane, &run, 2);
        let elsewhere = Plane::new("main", "other").unwrap();
        let known = |sequence| performed.has(&plane, &run, sequence);
        assert!(known(2) && !known(1) && !performed.has(&elsewhere, &run, 2));
        for other in 0..2 * MOST {
            performed.note(&plane, &RunId::new(other.to_string()), 1);
        }
        assert!(!performed.has(&plane, &run, 2));
        let runs = performed.runs.lock().unwrap();
        assert!(runs.young.len() + runs.old.len() <= 2 * MOST);
    }
}
