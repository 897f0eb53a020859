//! Whether, and at what price, the room of a container could be had by somebody.

use super::shelf::{Class, Shelf, Standing, View};
use super::want::NOBODY;
use super::{Engine, Want};
use crate::clock::after;
use crate::{Policy, ServiceName};
use domain::Time;

/// A container whose room could be had.
#[derive(Clone, Copy)]
pub(crate) struct Bid<'a> {
    pub(crate) view: &'a View,
    pub(crate) class: Class,
    /// Within a class: less is better.
    pub(crate) cost: (i64, u64),
}

impl Bid<'_> {
    pub(crate) fn to_yield(self) -> Yield {
        Yield { service: self.view.service.clone(), class: self.class }
    }
}

/// A container whose room is taken.
#[derive(Clone, Debug)]
pub(crate) struct Yield {
    pub(crate) service: ServiceName,
    pub(crate) class: Class,
}

/// Who asks, and when.
pub(crate) struct Asker<'a> {
    pub(crate) want: &'a Want,
    pub(crate) since: Option<Time>,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Time,
    /// The earliest moment at which the answer may be another.
    pub(crate) wake: Option<Time>,
}

impl Engine {
    pub(crate) fn asker<'a>(&'a self, want: &'a Want) -> Asker<'a> {
        Asker { want, since: want.since, policy: &self.cluster.policy, now: self.now, wake: None }
    }
}

impl Asker<'_> {
    /// Adds the containers on a GPU whose room could be had, cheapest first.
    pub(crate) fn bids<'a>(&mut self, shelf: &'a Shelf, found: &mut Vec<Bid<'a>>) {
        for view in &shelf.views {
            if let Some((class, cost)) = self.class_of(view) {
                found.push(Bid { view, class, cost });
            }
        }
        if found.len() > 1 {
            found.sort_by(|a, b| (a.class, a.cost, &a.view.service).cmp(&(b.class, b.cost, &b.view.service)));
        }
    }

    fn class_of(&mut self, view: &View) -> Option<(Class, (i64, u64))> {
        match view.standing {
            Standing::Stopping => return Some((Class::Wait, (0, 0))),
            Standing::Fixed => return None,
            Standing::Draining | Standing::Serving => {}
        }
        let draining = view.standing == Standing::Draining;
        // Requests that only wait do not hold up the end of what drains: they wait for its next start.
        let seated = if draining { view.used } else { view.seat.is_some() };
        if view.jobs == 0 && !seated {
            return if draining { Some((Class::Wait, (0, 0))) } else { self.idle_class(view) };
        }
        if !self.want.further
            && let Some(found) = self.preempt_class(view)
        {
            return Some(found);
        }
        if draining {
            return Some((Class::Drain, (-1, 0)));
        }
        (!self.want.further && self.may_drain(view)).then(|| (Class::Drain, (0, micros(view.paid_off_at))))
    }

    fn idle_class(&mut self, view: &View) -> Option<(Class, (i64, u64))> {
        let since = view.idle_since.filter(|_| view.owned)?;
        if self.want.further && !self.is_past(after(since, self.policy.scale_out_idle_ms)) {
            return None;
        }
        if !self.has_paid_off(view) {
            return None;
        }
        Some((Class::Evict, (-i64::from(view.priority), micros(Some(since)))))
    }

    /// An idle container that was started a short while ago is not thrown out at once for someone as urgent as those
    /// it was started for: more work for it may come, and every swap costs a start.
    fn has_paid_off(&mut self, view: &View) -> bool {
        let (Some(paid_off), Some(waiting)) = (view.paid_off_at, self.since) else {
            return true;
        };
        let patience = after(waiting, self.policy.batch_patience_ms);
        self.want.priority < view.priority || self.is_past(patience.min(paid_off))
    }

    /// All jobs of the container are interrupted, or already were; none if one of them may not be. Requests cannot be
    /// resumed, so they are never interrupted.
    fn preempt_class(&mut self, view: &View) -> Option<(Class, (i64, u64))> {
        if !view.owned || self.since.is_none() || view.seat.is_some() {
            return None;
        }
        let Some(fresh_urgent) = view.fresh_urgent else {
            return Some((Class::Wait, (0, 0)));
        };
        if fresh_urgent.saturating_sub(self.policy.preempt_priority_gap) < self.want.priority {
            return None;
        }
        if !self.is_past(view.preemptable_at) {
            return None;
        }
        let lost = self.now.as_micros().saturating_mul(view.unsaved.0).saturating_sub(view.unsaved.1);
        Some((Class::Preempt, (0, u64::try_from(lost).unwrap_or(0))))
    }

    /// Whether a loaded service has to make room: for someone more urgent than all it has left to do at once; for
    /// someone as urgent who waited long enough, once it has worked long enough to be worth its start.
    fn may_drain(&mut self, view: &View) -> bool {
        if !view.owned || self.want.place == NOBODY {
            return false;
        }
        let least = |priority: Option<i32>| priority.unwrap_or(i32::MAX);
        if self.want.priority < view.most_urgent.min(least(view.head)).min(least(view.seat)) {
            return true;
        }
        if least(view.head).min(least(view.seat)) < self.want.priority {
            return false;
        }
        let Some(waiting) = self.since else { return false };
        let Some(paid_off) = view.paid_off_at else { return true };
        self.is_past(paid_off.max(after(waiting, self.policy.batch_patience_ms)))
    }

    /// Whether a moment has come; if not, the answer may be another then.
    fn is_past(&mut self, due: Time) -> bool {
        if due > self.now {
            self.wake = Some(self.wake.map_or(due, |before| before.min(due)));
        }
        due <= self.now
    }
}

fn micros(time: Option<Time>) -> u64 {
    time.and_then(|time| u64::try_from(time.as_micros()).ok()).unwrap_or(0)
}
