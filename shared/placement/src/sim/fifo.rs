//! The baseline: plain first come, first served, on the same hosts with the same arithmetic of memory.

use crate::clock::after;
use crate::engine::is_settled;
use crate::{
    Action, Cluster, Device, Event, GpuId, Job, JobStatus, NodeId, Refusal, Registered, ServiceName, Spot, StopReason,
};
use domain::Time;
use std::collections::BTreeSet;

/// Takes jobs in the order they came. Each takes the next GPU that can be had and swaps its service in; a GPU that
/// a job waits for is given to nobody else. Faults other than failed attempts and failed starts are beyond it.
pub struct Fifo {
    cluster: Cluster,
    now: Time,
}

/// Jobs looked at from the head of the queue.
const LOOKED_AT: usize = 256;

impl Fifo {
    pub(crate) fn new() -> Self {
        Self { cluster: Cluster::default(), now: Time::from_micros(0) }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn on_event(&mut self, event: &Event) -> (Vec<Action>, Result<(), Refusal>) {
        self.now = self.now.max(event.at);
        let applied = self.cluster.apply(event);
        (self.decide(), applied)
    }

    pub(crate) fn on_time(&mut self, now: Time) -> Vec<Action> {
        self.now = self.now.max(now);
        self.decide()
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        let jobs = self.cluster.jobs.values().filter_map(|job| job.not_before);
        let starts = self.cluster.services.values().filter_map(|known| known.container.retry_at);
        let settle = self.cluster.policy.settle_timeout_ms;
        let settling = self.cluster.devices.values().filter_map(|device| Some(after(device.settling_since?, settle)));
        jobs.chain(starts).chain(settling).filter(|due| *due > self.now).min()
    }

    fn decide(&mut self) -> Vec<Action> {
        let mut decided = Vec::new();
        let mut taken = BTreeSet::new();
        let due = |job: &&Job| job.status == JobStatus::Queued && job.not_before.is_none_or(|due| due <= self.now);
        let waiting: Vec<Job> = self.cluster.jobs.values().filter(due).take(LOOKED_AT).cloned().collect();
        for job in waiting {
            if taken.len() == self.cluster.devices.len() {
                break;
            }
            if let Some(action) = self.serve(&job, &mut taken) {
                let event = Event { at: self.now, change: action.change() };
                if self.cluster.apply(&event).is_ok() {
                    decided.push(action);
                }
            }
        }
        decided
    }

    /// What to do for one job, and which GPU it keeps from those behind it.
    fn serve(&self, job: &Job, taken: &mut BTreeSet<GpuId>) -> Option<Action> {
        let all: Vec<&Registered> = self.cluster.candidates(job).collect();
        let untouched = |known: &&&Registered| {
            known.container.spot.as_ref().is_some_and(|spot| spot.devices.iter().all(|id| !taken.contains(id)))
        };
        if let Some(known) = all.iter().filter(untouched).find(|known| known.takes_jobs()) {
            return Some(Action::Dispatch {
                job: job.spec.id.clone(),
                attempt: job.attempt + 1,
                service: known.service.name.clone(),
                generation: known.container.generation,
                deadline: after(self.now, known.service.job_timeout_ms),
            });
        }
        let can_start = |known: &&&Registered| {
            known.container.is_stopped() && known.container.retry_at.is_none_or(|due| due <= self.now)
        };
        let known = all.iter().find(can_start)?;
        self.swap_in(known, taken)
    }

    fn swap_in(&self, known: &Registered, taken: &mut BTreeSet<GpuId>) -> Option<Action> {
        let need = known.need_mb(&self.cluster.policy);
        let free = self.cluster.devices.iter().filter(|(id, _)| !taken.contains(*id));
        let mut usable: Vec<_> =
            free.filter(|(id, d)| known.service.may_use(id, &d.node) && d.capacity_mb() >= need).collect();
        usable.sort_by_key(|(id, device)| (device.free_mb() < need, self.jobs_on(device), *id));
        let (id, device) = usable.first()?;
        taken.insert((*id).clone());
        if self.in_operation(device) {
            return None;
        }
        if device.free_mb() >= need {
            let spot = Spot { node: node_of(device), devices: vec![(*id).clone()], vram_mb: need };
            let generation = self.cluster.next_generation.max(1);
            return Some(Action::Start { service: known.service.name.clone(), spot, generation });
        }
        let idle = device.holders.keys().filter_map(|name| self.cluster.services.get(name));
        let idle = idle.filter(|other| other.container.serves() && other.running.is_empty());
        let oldest = idle.min_by_key(|other| other.container.idle_since)?;
        Some(self.evict(oldest, &known.service.name))
    }

    fn evict(&self, idle: &Registered, room_for: &ServiceName) -> Action {
        Action::Stop {
            service: idle.service.name.clone(),
            generation: idle.container.generation,
            reason: StopReason::Evicted { room_for: room_for.clone() },
        }
    }

    fn jobs_on(&self, device: &Device) -> usize {
        let holders = device.holders.keys().filter_map(|name| self.cluster.services.get(name));
        holders.map(|known| known.running.len() + usize::from(known.container.in_operation())).sum()
    }

    fn in_operation(&self, device: &Device) -> bool {
        let moving = |name: &ServiceName| self.cluster.services.get(name).is_some_and(|k| k.container.in_operation());
        !is_settled(device, &self.cluster.policy, self.now) || device.holders.keys().any(moving)
    }
}

fn node_of(device: &Device) -> NodeId {
    device.node.clone()
}
