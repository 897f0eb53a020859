//! One GPU as those who want room see it: what is free and what could be made free. Kept between decisions, and made
//! anew only for GPUs that something happened on.

use super::Engine;
use crate::clock::after;
use crate::{Device, GpuId, NodeId, Policy, Registered, ServiceName, State};
use domain::Time;
use std::collections::{BTreeMap, BTreeSet};

/// What it takes to get room, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// It is free.
    Free,
    /// It is being given back, or its memory has to become quiet.
    Wait,
    /// An idle container stops.
    Evict,
    /// Jobs are interrupted.
    Preempt,
    /// A container finishes its jobs and stops; nobody knows how long that takes.
    Drain,
}

/// All GPUs of the nodes that are heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelves {
    pub(crate) nodes: Vec<(NodeId, Vec<Shelf>)>,
    at: BTreeMap<GpuId, (usize, usize)>,
    /// GPUs that something happened on since they were looked at.
    pub(crate) stale: BTreeSet<GpuId>,
    pub(crate) known: bool,
    /// The most that is free on one of them.
    pub(crate) most_free_mb: u64,
}

impl Shelves {
    pub(crate) fn get_mut(&mut self, id: &GpuId) -> Option<&mut Shelf> {
        let (node, gpu) = *self.at.get(id)?;
        self.nodes.get_mut(node)?.1.get_mut(gpu)
    }

    fn count_free(&mut self) {
        let gpus = self.nodes.iter().flat_map(|(_, gpus)| gpus);
        self.most_free_mb = gpus.map(|shelf| shelf.free_mb).max().unwrap_or(0);
    }
}

/// A GPU.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) id: GpuId,
    /// Free by ledger and measurement.
    pub(crate) free_mb: u64,
    /// Memory is being taken or given back.
    moving: bool,
    settling_since: Option<Time>,
    pub(crate) capacity_mb: u64,
    /// Promised to those more urgent, during one look.
    pub(crate) promised_mb: u64,
    pub(crate) views: Vec<View>,
}

impl Shelf {
    /// Whether its memory is moving, so that nothing may start or stop on it.
    pub(crate) fn busy(&self, policy: &Policy, now: Time) -> bool {
        self.moving || self.settling_since.is_some_and(|since| after(since, policy.settle_timeout_ms) > now)
    }
}

/// A container on a GPU, with all that decides whether its room could be had.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) service: ServiceName,
    pub(crate) mb: u64,
    pub(crate) standing: Standing,
    /// Whether the scheduler started it.
    pub(crate) owned: bool,
    /// Its service's priority.
    pub(crate) priority: i32,
    /// Since when it has had no job.
    pub(crate) idle_since: Option<Time>,
    pub(crate) jobs: usize,
    /// When it has worked long enough to be worth its start.
    pub(crate) paid_off_at: Option<Time>,
    /// The most urgent priority among the seats at it.
    pub(crate) seat: Option<i32>,
    /// Whether it works at requests.
    pub(crate) used: bool,
    /// The priority at the head of its queue.
    pub(crate) head: Option<i32>,
    /// The most urgent priority among its jobs.
    pub(crate) most_urgent: i32,
    /// The most urgent among those not yet interrupted; none if all are.
    pub(crate) fresh_urgent: Option<i32>,
    /// When all those may be preempted.
    pub(crate) preemptable_at: Time,
    /// Those, and the sum of the moments from which their work is unsaved.
    pub(crate) unsaved: (i64, i64),
}

/// Where a container stands, as far as its room is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its room is on its way back.
    Stopping,
    /// It finishes its jobs.
    Draining,
    /// Its room cannot be had: it starts, or its node is silent.
    Fixed,
    /// It serves.
    Serving,
}

impl Engine {
    /// Brings the shelves up to date, with no promises.
    pub(super) fn refresh_shelves(&mut self) {
        let mut shelves = std::mem::take(&mut self.index.shelves);
        if !shelves.known {
            shelves = self.all_shelves();
        }
        for id in std::mem::take(&mut shelves.stale) {
            if let (Some(shelf), Some(device)) = (shelves.get_mut(&id), self.cluster.devices.get(&id)) {
                *shelf = self.shelf(&id, device);
            }
        }
        for (_, gpus) in &mut shelves.nodes {
            gpus.iter_mut().for_each(|shelf| shelf.promised_mb = 0);
        }
        shelves.count_free();
        self.index.shelves = shelves;
    }

    /// Brings what changed during a look up to date; promises stay.
    pub(super) fn look_again(&mut self) {
        let mut shelves = std::mem::take(&mut self.index.shelves);
        for id in std::mem::take(&mut shelves.stale) {
            if let (Some(shelf), Some(device)) = (shelves.get_mut(&id), self.cluster.devices.get(&id)) {
                *shelf = Shelf { promised_mb: shelf.promised_mb, ..self.shelf(&id, device) };
            }
        }
        shelves.count_free();
        self.index.shelves = shelves;
    }

    /// Something happened to a service; its GPUs have to be looked at anew.
    pub(super) fn stale(&mut self, name: &ServiceName) {
        let spot = self.cluster.services.get(name).and_then(|known| known.container.spot.as_ref());
        for id in spot.iter().flat_map(|spot| &spot.devices) {
            if !self.index.shelves.stale.contains(id) {
                self.index.shelves.stale.insert(id.clone());
            }
        }
    }

    fn all_shelves(&self) -> Shelves {
        let mut shelves = Shelves { known: true, ..Shelves::default() };
        for (id, node) in self.cluster.nodes.iter().filter(|(_, node)| node.lost_since.is_none()) {
            let known = node.devices.iter().filter_map(|gpu| Some((gpu, self.cluster.devices.get(gpu)?)));
            let gpus: Vec<Shelf> = known.map(|(gpu, device)| self.shelf(gpu, device)).collect();
            for (place, shelf) in gpus.iter().enumerate() {
                shelves.at.insert(shelf.id.clone(), (shelves.nodes.len(), place));
            }
            shelves.nodes.push((id.clone(), gpus));
        }
        shelves
    }

    fn shelf(&self, id: &GpuId, device: &Device) -> Shelf {
        let holders = device.holders.iter().filter_map(|(name, hold)| Some((self.cluster.services.get(name)?, hold)));
        let moving = holders.clone().any(|(known, _)| known.container.in_operation());
        let views = holders
            .map(|(known, hold)| View { mb: hold.reserved_mb.max(hold.measured_mb.unwrap_or(0)), ..self.view(known) });
        Shelf {
            id: id.clone(),
            free_mb: device.free_mb(),
            moving,
            settling_since: device.settling_since,
            capacity_mb: device.capacity_mb(),
            promised_mb: 0,
            views: views.collect(),
        }
    }

    fn view(&self, known: &Registered) -> View {
        let policy = &self.cluster.policy;
        let name = &known.service.name;
        let kind = self.index.types.get(&known.service.service_type);
        let mut view = View {
            service: name.clone(),
            mb: 0,
            standing: standing(known),
            owned: known.container.owned,
            priority: known.service.priority,
            idle_since: known.container.idle_since,
            jobs: known.running.len(),
            paid_off_at: None,
            seat: known.most_urgent_seat(),
            used: known.in_use(),
            head: kind.and_then(|kind| kind.head_for(name)).map(|(priority, _)| priority),
            most_urgent: i32::MAX,
            fresh_urgent: None,
            preemptable_at: Time::from_micros(0),
            unsaved: (0, 0),
        };
        if let State::Ready { since } = known.container.state {
            view.paid_off_at = Some(after(since, known.batch_ms(policy)));
        }
        let least = known.min_runtime_ms(policy);
        for job in known.running.iter().filter_map(|place| self.cluster.jobs.get(place)) {
            let Some(run) = &job.run else { continue };
            view.most_urgent = view.most_urgent.min(job.spec.priority);
            if run.interrupt.is_none() {
                view.fresh_urgent = Some(view.fresh_urgent.unwrap_or(i32::MAX).min(job.spec.priority));
                view.preemptable_at = view.preemptable_at.max(after(run.started_at, least));
                let from = run.saved_at.unwrap_or(run.started_at).as_micros();
                view.unsaved = (view.unsaved.0 + 1, view.unsaved.1.saturating_add(from));
            }
        }
        view
    }
}

fn standing(known: &Registered) -> Standing {
    let tainted = known.container.tainted;
    match known.container.state {
        State::Stopping { .. } => Standing::Stopping,
        State::Stopped | State::Starting { .. } | State::Lost { .. } => {
            if tainted {
                Standing::Stopping
            } else {
                Standing::Fixed
            }
        }
        State::Ready { .. } | State::Unhealthy { .. } if tainted => Standing::Stopping,
        State::Ready { .. } | State::Unhealthy { .. } => Standing::Serving,
        State::Draining { .. } if tainted => Standing::Stopping,
        State::Draining { .. } => Standing::Draining,
    }
}
