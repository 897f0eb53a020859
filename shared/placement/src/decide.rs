//! The whole decision: everything looked at, every waiting job with its reason.

use crate::{Action, Cluster, Engine, Waiting};
use domain::Time;
use serde::{Deserialize, Serialize};

/// What to do now, why the rest waits, and when to look again if nothing happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// Every job that is queued or paused once that is done, most urgent first within its type.
    pub waiting: Vec<Waiting>,
    /// When a decision may change by the passing of time alone.
    pub wake_at: Option<Time>,
}

/// Decides from a snapshot. The same snapshot and the same time give the same plan.
pub fn decide(snapshot: &Cluster, now: Time) -> Plan {
    let mut engine = Engine::new(snapshot.clone(), now);
    let actions = engine.on_time(now);
    Plan { actions, waiting: engine.explain_all(), wake_at: engine.wake_at() }
}
