//! The pure core alone: decisions per second of one core, with ten thousand jobs queued for 64 GPUs.

use crate::processes::thread_seconds;
use anyhow::{Result, bail};
use domain::Time;
use placement::{Action, Change, Cluster, DeviceInfo, Engine, Event, JobEvent, JobId, JobSpec, Service};
use std::collections::{BTreeMap, VecDeque};

const QUEUED: usize = 10_000;
/// Each has a GPU to itself.
const SERVICES: usize = 64;

struct Core {
    engine: Engine,
    micros: i64,
    running: VecDeque<(JobId, u32)>,
    submitted: usize,
    decided: usize,
}

impl Core {
    fn new() -> Result<Self> {
        let engine = Engine::new(Cluster::default(), Time::from_micros(0));
        let mut core = Self { engine, micros: 0, running: VecDeque::new(), submitted: 0, decided: 0 };
        for node in 0..8 {
            let device = |gpu| DeviceInfo { id: format!("n{node}-g{gpu}").into(), total_mb: 81_920, reserve_mb: 512 };
            let devices = (0..8).map(device).collect();
            core.event(Change::NodeSeen {
                node: format!("n{node}").into(),
                devices,
                running: BTreeMap::new(),
                unread: false,
            })?;
        }
        for number in 0..SERVICES {
            let service = Service::new(format!("service-{number}"), format!("type-{number}"), 60_000);
            core.event(Change::ServiceRegistered { service: Box::new(service) })?;
        }
        for _ in 0..QUEUED + SERVICES {
            core.submit()?;
        }
        Ok(core)
    }

    fn event(&mut self, change: Change) -> Result<()> {
        let mut changes = VecDeque::from([change]);
        while let Some(change) = changes.pop_front() {
            self.micros += 1;
            let (actions, applied) = self.engine.on_event(&Event { at: Time::from_micros(self.micros), change });
            if let Err(refusal) = applied {
                bail!("the core refuses: {refusal:?}");
            }
            self.decided += 1;
            for action in actions {
                if let Action::Dispatch { job, attempt, .. } = action {
                    self.running.push_back((job, attempt));
                } else if let Action::Start { service, generation, .. } = action {
                    changes.push_back(Change::ContainerReady { service, generation });
                }
            }
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<()> {
        let number = self.submitted;
        self.submitted += 1;
        let kind = (number * 7_919) % SERVICES;
        let spec = JobSpec::new(format!("{number:08}-4f2c-b043-22c6e578a099"), format!("type-{kind}"));
        self.event(Change::JobSubmitted { spec: Box::new(spec) })
    }

    /// A job ends and the next begins, and one is submitted.
    fn turn(&mut self) -> Result<()> {
        if let Some((job, attempt)) = self.running.pop_front() {
            self.event(Change::Job { job: job.clone(), what: JobEvent::Completed { attempt } })?;
            self.event(Change::JobForgotten { job })?;
        }
        self.submit()
    }
}

/// Decisions per second, other work on the machine not counted.
pub(crate) fn per_second() -> Result<f64> {
    let mut core = Core::new()?;
    let (before, began) = (core.decided, thread_seconds());
    for _ in 0..20_000 {
        core.turn()?;
    }
    Ok((core.decided - before) as f64 / (thread_seconds() - began))
}
