//! One step of a run at a time within this process; between processes the fence decides.

use domain::{Plane, RunId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

type Key = (Plane, RunId);

/// Locks by run; one exists only while somebody holds or awaits it.
#[derive(Clone, Default)]
pub(crate) struct Locks {
    runs: Arc<Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>>,
}

/// Held while a run is stepped.
pub(crate) struct Guard {
    locks: Locks,
    key: Key,
    held: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    pub(crate) async fn lock(&self, plane: &Plane, run: &RunId) -> Guard {
        let key = (plane.clone(), run.clone());
        let lock = {
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            runs.entry(key.clone()).or_default().clone()
        };
        Guard { locks: self.clone(), key, held: Some(lock.lock_owned().await) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.held.take();
        let mut runs = self.locks.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            runs.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_is_stepped_by_one_at_a_time_and_its_lock_does_not_stay() {
        let locks = Locks::default();
        let (plane, run) = (Plane::main(), RunId::new("r"));
        let first = locks.lock(&plane, &run).await;
        let second = tokio::time::timeout(std::time::Duration::from_millis(20), locks.lock(&plane, &run));
        assert!(second.await.is_err());
        drop(first);
        drop(locks.lock(&plane, &run).await);
        assert!(locks.runs.lock().unwrap().is_empty());
    }
}
