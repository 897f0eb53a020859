//! Runs that this process accepted a moment ago: whoever asks for one at once need not look for it in its inbox.

use domain::{Plane, RunId};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Runs remembered before the older half is forgotten. Forgetting only means looking.
const MOST: usize = 2_048;
/// Nothing is remembered for longer than twice this.
const LONGEST: Duration = Duration::from_secs(5);

/// The runs of the last seconds.
#[derive(Debug)]
pub struct Recent {
    runs: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: HashSet<(Plane, RunId)>,
    old: HashSet<(Plane, RunId)>,
    turned: Instant,
}

impl Default for Recent {
    fn default() -> Self {
        let (young, old) = (HashSet::new(), HashSet::new());
        Self { runs: Mutex::new(Generations { young, old, turned: Instant::now() }) }
    }
}

impl Recent {
    /// Remembers an accepted run.
    pub fn note(&self, plane: &Plane, run: &RunId) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.turn(Instant::now());
        runs.young.insert((plane.clone(), run.clone()));
    }

    /// Whether a run was accepted here a moment ago.
    pub fn has(&self, plane: &Plane, run: &RunId) -> bool {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.turn(Instant::now());
        let key = (plane.clone(), run.clone());
        runs.young.contains(&key) || runs.old.contains(&key)
    }

    /// Forgets a run that was removed.
    pub fn forget(&self, plane: &Plane, run: &RunId) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (plane.clone(), run.clone());
        runs.young.remove(&key);
        runs.old.remove(&key);
    }
}

impl Generations {
    fn turn(&mut self, now: Instant) {
        if now.duration_since(self.turned) > 2 * LONGEST {
            self.young.clear();
        }
        if now.duration_since(self.turned) > LONGEST || self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_for_seconds_and_not_for_ever() {
        let (recent, plane, run) = (Recent::default(), Plane::main(), RunId::new("r"));
        recent.note(&plane, &run);
        assert!(recent.has(&plane, &run) && !recent.has(&plane, &RunId::new("other")));
        let soon = Instant::now() + LONGEST + Duration::from_millis(1);
        recent.runs.lock().unwrap().turn(soon);
        assert!(recent.runs.lock().unwrap().old.contains(&(plane.clone(), run.clone())));
        recent.runs.lock().unwrap().turn(soon + LONGEST + Duration::from_millis(1));
        assert!(recent.runs.lock().unwrap().old.is_empty());
        recent.note(&plane, &run);
        recent.forget(&plane, &run);
        assert!(!recent.has(&plane, &run));
        for place in 0..3 * MOST {
            recent.note(&plane, &RunId::new(format!("r{place}")));
        }
        let runs = recent.runs.lock().unwrap();
        assert!(runs.young.len() + runs.old.len() <= 2 * MOST);
    }
}
