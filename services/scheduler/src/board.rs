//! The state of the control plane: what the steps of its log leave, and what can be asked of it.

mod apply;
mod convert;
mod offers;
mod views;

pub(crate) use convert::{EXTERNAL_NODE, job_spec, placement_service};
pub(crate) use views::order_state;

use crate::names;
use crate::step::{Entry, Notes, Step};
use domain::Time;
use domain::control::{Answer, Seats, ServiceRecord};
use placement::{Cluster, Engine, Job};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Answers to orders that are kept for askers that come late.
const ANSWERS_KEPT: usize = 2_048;

/// Everything but the cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Particulars {
    pub(crate) epoch: u64,
    pub(crate) leader: String,
    pub(crate) cursor: u64,
    pub(crate) node_cursor: u64,
    pub(crate) services: BTreeMap<names::Service, ServiceRecord>,
    pub(crate) notes: BTreeMap<names::Job, Notes>,
    pub(crate) answers: BTreeMap<u64, Answer>,
    /// Ended jobs by when they ended.
    pub(crate) ended: BTreeSet<(Time, names::Job)>,
}

/// A snapshot as it is stored, and what a replay fills.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) cluster: Cluster,
    pub(crate) particulars: Particulars,
    /// The time of the last event, which the next one may not precede.
    pub(crate) last_at: Time0,
}

/// A time that begins at 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Time0(pub(crate) Time);

impl Default for Time0 {
    fn default() -> Self {
        Self(Time::from_micros(0))
    }
}

impl Saved {
    /// Takes in a step as it was stored.
    pub(crate) fn apply(&mut self, step: &Step) {
        self.particulars.epoch = step.epoch;
        self.particulars.cursor = step.cursor;
        self.particulars.node_cursor = step.node_cursor;
        for entry in &step.entries {
            if let Entry::Event(event) = entry {
                self.last_at.0 = self.last_at.0.max(event.at);
                let applied = self.cluster.apply(event);
                if let Err(refusal) = applied {
                    tracing::error!(%refusal, ?event, "a stored event is refused in the replay");
                }
            }
            self.particulars.apply(entry, &self.cluster);
        }
        for (sequence, answer) in &step.answers {
            self.particulars.answer(*sequence, answer.clone());
        }
    }
}

/// The leader's state: the engine with its indexes, and the particulars beside it.
pub(crate) struct Board {
    pub(crate) engine: Engine,
    pub(crate) particulars: Particulars,
    pub(crate) last_at: Time,
    /// When and how fast each service last answered its health check.
    pub(crate) probed_ms: BTreeMap<names::Service, f64>,
    /// What each proxy said last that it needs, and until when that holds.
    pub(crate) said: BTreeMap<placement::Holder, Said>,
}

/// The last word of a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) seats: Seats,
    pub(crate) until: Time,
}

impl Board {
    pub(crate) fn new(saved: Saved, now: Time) -> Self {
        let last_at = saved.last_at.0.max(now);
        Self {
            engine: Engine::new(saved.cluster, last_at),
            particulars: saved.particulars,
            last_at,
            probed_ms: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.engine.cluster()
    }

    pub(crate) fn job(&self, id: &names::Job) -> Option<&Job> {
        self.cluster().job(id)
    }

    /// As it would be stored.
    pub(crate) fn save(&self) -> Saved {
        Saved { cluster: self.cluster().clone(), particulars: self.particulars.clone(), last_at: Time0(self.last_at) }
    }
}
