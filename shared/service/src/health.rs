//! Named checks behind `/readyz`: each part of a service says how it is, and readiness is all of them together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Well,
    Failing(String),
}

/// A name and the last word on it.
type Part = (String, watch::Receiver<State>);

/// The checks of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct Health {
    parts: Arc<Mutex<Vec<Part>>>,
    changed: Arc<watch::Sender<u64>>,
}

/// The one who reports on a part. When it is dropped, the part counts as stopped.
#[derive(Debug)]
pub struct Check {
    state: watch::Sender<State>,
    changed: Arc<watch::Sender<u64>>,
}

/// One part in a report.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CheckReport {
    /// The part.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// Why not, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the process can serve, and every part.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// Whether every part works.
    pub ready: bool,
    /// The parts, in the order in which they were named.
    pub checks: Vec<CheckReport>,
}

impl Default for Health {
    fn default() -> Self {
        Self { parts: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }
}

impl Health {
    /// Without any part, and so ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part, which is not ready before it says so.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let (state, receiver) = watch::channel(State::Starting);
        self.parts().push((name.into(), receiver));
        self.changed.send_modify(|count| *count += 1);
        Check { state, changed: self.changed.clone() }
    }

    /// How everything is now.
    pub fn readiness(&self) -> Readiness {
        let checks: Vec<CheckReport> = self.parts().iter().map(|(name, state)| report(name, state)).collect();
        Readiness { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// Waits until every part works. Whoever waits sets the deadline.
    pub async fn ready(&self) {
        let mut changed = self.changed.subscribe();
        while !self.readiness().ready {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The part works.
    pub fn well(&self) {
        self.set(State::Well);
    }

    /// The part does not work, and why.
    pub fn failing(&self, reason: impl Into<String>) {
        self.set(State::Failing(reason.into()));
    }

    fn set(&self, state: State) {
        let differs = self.state.send_if_modified(|now| {
            let differs = *now != state;
            *now = state;
            differs
        });
        if differs {
            self.changed.send_modify(|count| *count += 1);
        }
    }
}

fn report(name: &str, state: &watch::Receiver<State>) -> CheckReport {
    // An error here means that the reporter is gone; its last word no longer counts.
    let stopped = state.has_changed().is_err();
    let reason = match (&*state.borrow(), stopped) {
        (_, true) => Some("stopped".to_owned()),
        (State::Well, false) => None,
        (State::Starting, false) => Some("starting".to_owned()),
        (State::Failing(reason), false) => Some(reason.clone()),
    };
    CheckReport { name: name.to_owned(), ok: reason.is_none(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reasons(health: &Health) -> Vec<Option<String>> {
        health.readiness().checks.into_iter().map(|check| check.reason).collect()
    }

    #[test]
    fn a_part_is_ready_only_while_it_says_so() {
        let health = Health::new();
        let broker = health.check("nats");
        assert_eq!(reasons(&health), [Some("starting".to_owned())]);
        broker.well();
        assert!(health.readiness().ready);
        broker.failing("connection refused");
        assert_eq!(reasons(&health), [Some("connection refused".to_owned())]);
        drop(broker);
        assert_eq!(reasons(&health), [Some("stopped".to_owned())]);
    }

    #[tokio::test]
    async fn waiting_for_readiness_ends_when_the_last_part_is_well() {
        let health = Health::new();
        let (one, two) = (health.check("one"), health.check("two"));
        let waiter = health.clone();
        let wait = tokio::time::timeout(Duration::from_secs(5), waiter.ready());
        let report = async {
            one.well();
            two.well();
        };
        let (ended, ()) = tokio::join!(wait, report);
        assert!(ended.is_ok() && health.readiness().ready);
    }
}
