//! Moments at which a decision may change although nothing happens.

use crate::{GpuId, Place, ServiceName, ServiceType};
use domain::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Whose moment it is; each has at most one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Job(Place),
    Service(ServiceName),
    Device(GpuId),
    Type(ServiceType),
    Room,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(i64, Owner)>,
    of: BTreeMap<Owner, i64>,
}

impl Timers {
    pub(crate) fn set(&mut self, owner: Owner, at: Option<Time>) {
        let micros = at.map(Time::as_micros);
        let before = match micros {
            Some(micros) => self.of.insert(owner.clone(), micros),
            None => self.of.remove(&owner),
        };
        if before == micros {
            return;
        }
        let mut key = (0, owner);
        if let Some(before) = before {
            key.0 = before;
            self.due.remove(&key);
        }
        if let Some(micros) = micros {
            key.0 = micros;
            self.due.insert(key);
        }
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.due.first().map(|(micros, _)| Time::from_micros(*micros))
    }

    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Owner> {
        if self.due.first()?.0 > now.as_micros() {
            return None;
        }
        let (_, owner) = self.due.pop_first()?;
        self.of.remove(&owner);
        Some(owner)
    }
}
