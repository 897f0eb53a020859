//! What happens on the hosts and at the clients, and what the scheduler hears of it.

use super::{Broken, Happening, World};
use crate::{Change, DeviceInfo, JobEvent, JobId, NodeId, ServiceName, Spot};
use std::collections::BTreeMap;

const HOP_MS: u64 = 2;
/// How long an agent's silence lasts before it is noticed.
const SILENCE_MS: u64 = 1_000;

impl World {
    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Arrive(number) => return self.arrive(number),
            Happening::Cancel(number) => {
                let job = self.tasks[number].spec.id.clone();
                return self.take_in(Change::Job { job, what: JobEvent::CancelRequested });
            }
            Happening::Deliver(change) => return self.take_in(change),
            Happening::AgentStart { service, spot, generation } => self.agent_start(&service, &spot, generation),
            Happening::AgentStop { service, generation } => self.agent_stop(&service, generation),
            Happening::Healthy { service, generation } => self.healthy(&service, generation),
            Happening::Heartbeat => {
                self.later(super::HEARTBEAT_MS, Happening::Heartbeat);
                let down = &self.real.agents_down;
                let heard = self.cluster().devices.iter().filter(|(_, device)| !down.contains(&device.node));
                let ids: Vec<_> = heard.map(|(id, _)| id.clone()).collect();
                ids.into_iter().for_each(|id| self.later(0, Happening::Measure(id)));
                return self.compare_inventory();
            }
            Happening::Measure(device) => {
                let (used_mb, by_service) = (self.real.used_mb(&device), self.real.by_service(&device));
                return self.take_in(Change::DeviceMeasured { device, used_mb, by_service });
            }
            Happening::ServiceGets { job, attempt, service, generation } => {
                self.service_gets(&job, attempt, &service, generation);
            }
            Happening::ServiceInterrupt { job, attempt, service } => self.service_interrupt(job, attempt, &service),
            Happening::Ends { job, attempt, service, generation } => self.ends(job, attempt, &service, generation),
            Happening::VisitBegins(number) => return self.visit_begins(number),
            Happening::VisitLooks { number, since_ms } => return self.visit_looks(number, since_ms),
            Happening::VisitEnds(number) => return self.visit_ends(number),
            Happening::AgentCrash => self.agent_crash(),
            Happening::AgentReturn { node } => return self.agent_appears(&node),
            Happening::SchedulerRestart => {
                if self.is_hostile() {
                    let next = self.chance.exponential_ms(self.knobs.faults.scheduler_restart_ms);
                    self.later(next, Happening::SchedulerRestart);
                    return self.restart_scheduler();
                }
            }
            Happening::Wake => {
                self.woken_at = None;
                return self.on_time();
            }
        }
        Ok(())
    }

    fn arrive(&mut self, number: usize) -> Result<(), Broken> {
        let task = self.tasks[number].clone();
        if let Some(after) = task.cancel_after_ms {
            self.later(after, Happening::Cancel(number));
        }
        let submitted = Change::JobSubmitted { spec: Box::new(task.spec) };
        if self.chance.percent(self.knobs.faults.duplicate_percent) {
            self.later(5, Happening::Deliver(submitted.clone()));
        }
        self.take_in(submitted)
    }

    fn agent_start(&mut self, service: &ServiceName, spot: &Spot, generation: u64) {
        if self.real.agents_down.contains(&spot.node) {
            return;
        }
        let Some(truth) = self.truth.get(service).cloned() else {
            return;
        };
        // A start that arrives after its own stop, or after a newer start, came too late.
        let stopped = self.real.told_to_stop.get(service).is_some_and(|newest| generation <= *newest);
        let newer = self.real.containers.get(service).is_some_and(|there| there.generation > generation);
        if stopped || newer {
            return;
        }
        if self.real.make(&truth, spot, generation, self.knobs.gpu_mb) {
            self.measure(&spot.devices);
            let start_ms = truth.start_ms;
            self.later(start_ms, Happening::Healthy { service: service.clone(), generation });
        } else {
            let error = "out of GPU memory".to_owned();
            let service = service.clone();
            let change = Change::ContainerExited { service, generation, error, out_of_memory: true };
            self.send(truth.start_ms / 3, Happening::Deliver(change));
        }
    }

    fn agent_stop(&mut self, service: &ServiceName, generation: u64) {
        let node = self.cluster().services.get(service).and_then(|known| known.container.spot.clone());
        if node.is_some_and(|spot| self.real.agents_down.contains(&spot.node)) {
            return;
        }
        self.real.told_to_stop.insert(service.clone(), generation);
        let exists = self.real.containers.get(service).is_some_and(|container| container.generation <= generation);
        if exists && let Some(container) = self.real.containers.remove(service) {
            self.measure(&container.spot.devices);
        }
        let change = Change::ContainerStopped { service: service.clone(), generation };
        let took = HOP_MS + self.chance.below(500);
        self.send(took, Happening::Deliver(change));
    }

    fn healthy(&mut self, service: &ServiceName, generation: u64) {
        let Some(container) = self.real.current(service, generation) else {
            return;
        };
        container.healthy = true;
        let (node, devices) = (container.spot.node.clone(), container.spot.devices.clone());
        if self.real.agents_down.contains(&node) {
            return;
        }
        self.measure(&devices);
        self.send(HOP_MS, Happening::Deliver(Change::ContainerReady { service: service.clone(), generation }));
    }

    /// Two measurements, so that a change is first seen and then seen to be over.
    fn measure(&mut self, devices: &[crate::GpuId]) {
        for device in devices {
            for ms in [600, 1_200, 1_800] {
                self.send(ms, Happening::Measure(device.clone()));
            }
        }
    }

    fn service_gets(&mut self, job: &JobId, attempt: u32, service: &ServiceName, generation: u64) {
        let number = job.as_str().trim_start_matches('j').parse::<usize>().unwrap_or(0);
        let runtime_ms = self.tasks.get(number).map_or(0, |task| task.runtime_ms);
        let now = self.now;
        let key = (job.clone(), attempt);
        if self.real.ended.contains(&key) {
            return;
        }
        let accepted = match self.real.current(service, generation).filter(|container| container.healthy) {
            Some(container) if container.attempts.contains_key(&key) => return,
            Some(container) => {
                // A service refuses an attempt of a job that it already has a newer one of.
                if container.attempts.keys().any(|(other, newer)| other == job && *newer > attempt) {
                    return;
                }
                container.attempts.insert(key, now);
                true
            }
            None => false,
        };
        if accepted {
            let (job, service) = (job.clone(), service.clone());
            self.later(runtime_ms, Happening::Ends { job, attempt, service, generation });
        } else {
            let what = JobEvent::AttemptLost { attempt, cause: crate::Loss::ConnectionLost };
            self.send(HOP_MS, Happening::Deliver(Change::Job { job: job.clone(), what }));
        }
    }

    fn service_interrupt(&mut self, job: JobId, attempt: u32, service: &ServiceName) {
        let stubborn = self.chance.percent(self.knobs.faults.stubborn_percent);
        let key = (job.clone(), attempt);
        if let Some(container) = self.real.containers.get_mut(service)
            && container.attempts.contains_key(&key)
        {
            if stubborn || container.stubborn.contains(&key) {
                container.stubborn.insert(key);
                return;
            }
            container.attempts.remove(&key);
        }
        // An attempt that was told to stop is not begun by a late or second copy of its dispatch.
        self.real.ended.insert((job.clone(), attempt));
        self.send(HOP_MS, Happening::Deliver(Change::Job { job, what: JobEvent::Interrupted { attempt } }));
    }

    fn ends(&mut self, job: JobId, attempt: u32, service: &ServiceName, generation: u64) {
        let key = (job.clone(), attempt);
        let Some(container) = self.real.current(service, generation) else {
            return;
        };
        if container.attempts.remove(&key).is_none() {
            return;
        }
        self.real.ended.insert(key);
        let what = if self.chance.percent(self.knobs.fail_percent) {
            JobEvent::AttemptFailed { attempt, error: "the service answered 500".to_owned() }
        } else {
            JobEvent::Completed { attempt }
        };
        self.send(HOP_MS, Happening::Deliver(Change::Job { job, what }));
    }

    fn agent_crash(&mut self) {
        if !self.is_hostile() {
            return;
        }
        let next = self.chance.exponential_ms(self.knobs.faults.agent_crash_ms);
        self.later(next, Happening::AgentCrash);
        let node = NodeId::from(format!("n{}", self.chance.below(self.knobs.nodes)));
        if !self.real.agents_down.insert(node.clone()) {
            return;
        }
        let host_died = self.chance.percent(50);
        self.real.told_to_stop.clear();
        if host_died {
            self.real.containers.retain(|_, container| container.spot.node != node);
        }
        self.later(SILENCE_MS, Happening::Deliver(Change::NodeLost { node: node.clone() }));
        let away = SILENCE_MS + 1 + self.chance.below(20_000);
        self.later(away, Happening::AgentReturn { node });
    }

    /// What agents list is compared with what is believed of nodes that are heard, and the difference is told.
    fn compare_inventory(&mut self) -> Result<(), Broken> {
        let mut found = Vec::new();
        let mut generation = self.cluster().next_generation.max(1);
        for (service, known) in &self.cluster().services {
            let container = &known.container;
            let service = service.clone();
            match (self.real.containers.get(&service), &container.spot) {
                (Some(there), _) if self.real.agents_down.contains(&there.spot.node) => {}
                (Some(there), None) => {
                    let spot = there.spot.clone();
                    found.push(Change::ContainerFound { service, spot, generation, orphan: true });
                    generation += 1;
                }
                (Some(there), Some(_)) if there.healthy && there.generation == container.generation => {
                    found.push(Change::ContainerReady { service, generation: there.generation });
                }
                (None, Some(spot)) if container.is_live() && !container.in_operation() => {
                    if !self.real.agents_down.contains(&spot.node) {
                        let (error, generation) = ("it is not there".to_owned(), container.generation);
                        found.push(Change::ContainerExited { service, generation, error, out_of_memory: false });
                    }
                }
                (None | Some(_), Some(_)) | (None, None) => {}
            }
        }
        found.into_iter().try_for_each(|change| self.take_in(change))
    }

    /// An agent says what it has: its GPUs, the containers that run, and of each whether it is healthy.
    pub(super) fn agent_appears(&mut self, node: &NodeId) -> Result<(), Broken> {
        self.real.agents_down.remove(node);
        let gpus = (0..self.knobs.gpus_per_node).map(|gpu| DeviceInfo {
            id: format!("{node}-g{gpu}").into(),
            total_mb: self.knobs.gpu_mb,
            reserve_mb: 0,
        });
        let devices: Vec<DeviceInfo> = gpus.collect();
        let ids: Vec<_> = devices.iter().map(|info| info.id.clone()).collect();
        let running: BTreeMap<ServiceName, u64> = self.real.listed(node);
        self.take_in(Change::NodeSeen { node: node.clone(), devices, running: running.clone(), unread: false })?;
        for (service, generation) in running {
            if self.real.current(&service, generation).is_some_and(|container| container.healthy) {
                self.take_in(Change::ContainerReady { service, generation })?;
            }
        }
        self.measure(&ids);
        Ok(())
    }
}
