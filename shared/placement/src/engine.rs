//! Decides by what changed: each event marks what it touches, and only that is looked at again.

use crate::{Action, Cluster, Event, Refusal};
use domain::Time;

mod containers;
mod dispatch;
mod index;
mod jobs;
mod offer;
mod room;
mod shelf;
mod timers;
mod touch;
mod want;
mod yields;

pub(crate) use containers::is_settled;
pub(crate) use index::{Index, TypeIndex};
pub(crate) use want::NOBODY;
use want::Want;

/// The cluster with the indexes that make a decision cost what the event touched.
///
/// A decided action is applied here at once and returned. The caller stores its event, fenced, and then performs
/// it. A caller that could not store it throws the engine away and makes a new one from the stream.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) cluster: Cluster,
    pub(crate) index: Index,
    pub(crate) now: Time,
    decided: Vec<Action>,
}

/// How often one event may lead from one decision to the next. A start leads to a dispatch only when its container
/// reports, so a handful would do; the bound is a safety net.
const ROUNDS: usize = 10_000;

impl Engine {
    /// An engine over a cluster as it was replayed. Everything is looked at once, on the first call.
    pub fn new(cluster: Cluster, now: Time) -> Self {
        let mut engine = Self { cluster, index: Index::default(), now, decided: Vec::new() };
        engine.rebuild();
        engine
    }

    /// The state that the next decision is made from.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Gives the state back, without the indexes.
    pub fn into_cluster(self) -> Cluster {
        self.cluster
    }

    /// Takes in an event and decides. A refused event changes nothing, but time may have passed, so it decides too.
    pub fn on_event(&mut self, event: &Event) -> (Vec<Action>, Result<(), Refusal>) {
        self.now = self.now.max(event.at);
        let applied = self.absorb(event);
        (self.settle(), applied)
    }

    /// Decides what is due by now, without an event.
    pub fn on_time(&mut self, now: Time) -> Vec<Action> {
        self.now = self.now.max(now);
        self.settle()
    }

    /// When `on_time` has to be called at the latest, if nothing happens before.
    pub fn wake_at(&self) -> Option<Time> {
        self.index.timers.next()
    }

    /// Decides until nothing is left to decide. The order of the stages is the argument: ends before dispatches
    /// (so that slots are free), dispatches before room (so that only what cannot be served asks for room).
    fn settle(&mut self) -> Vec<Action> {
        self.fire_timers();
        for _ in 0..ROUNDS {
            if let Some(place) = self.index.dirty.jobs.pop_first() {
                self.look_at_job(place);
            } else if let Some(name) = self.index.dirty.services.pop_first() {
                self.look_at_container(&name);
            } else if let Some(kind) = self.index.dirty.types.pop_first() {
                self.look_at_type(&kind);
            } else if let Some((name, before)) = self.index.dirty.loads.pop_first() {
                self.look_at_load(&name, before);
            } else if std::mem::take(&mut self.index.dirty.room) {
                self.make_room();
            } else {
                break;
            }
        }
        std::mem::take(&mut self.decided)
    }

    /// Applies an action as its own event and keeps it for the caller.
    pub(crate) fn decide(&mut self, action: Action) {
        let event = Event { at: self.now, change: action.change() };
        let applied = self.absorb(&event);
        debug_assert!(applied.is_ok(), "a decided action is refused: {action:?} {applied:?}");
        if applied.is_ok() {
            self.decided.push(action);
        }
    }
}
