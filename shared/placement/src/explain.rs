//! Finds why a job waits, where it stands and for how long it may.

use crate::clock::since_ms;
use crate::engine::{NOBODY, TypeIndex, is_settled};
use crate::{
    Condition, Device, Engine, Estimate, Frees, GpuId, Job, JobId, JobSpec, JobStatus, Reason, Registered, RoomHolder,
    ServiceName, ServiceType, SlotHolder, State, Waiting,
};
use domain::Time;
use std::collections::BTreeMap;

/// Slots named in a reason.
const NAMED_SLOTS: usize = 16;
/// Runtimes that must be known before anything is estimated.
const KNOWN_RUNTIMES: usize = 5;

impl Engine {
    /// Why one job waits; none if it is not waiting.
    pub fn explain(&self, job: &JobId) -> Option<Waiting> {
        let job = self.cluster.job(job)?;
        let position = self.position(job);
        self.waiting(job, position, &mut BTreeMap::new())
    }

    /// Why requests that want a service wait; none if it serves.
    pub fn explain_service(&self, name: &ServiceName) -> Option<Reason> {
        let known = self.cluster.services.get(name)?;
        if known.container.serves() {
            return None;
        }
        let spec = JobSpec { service_name: Some(name.clone()), ..JobSpec::new("", known.service.service_type.clone()) };
        Some(self.reason_of_group(&Job::submitted(spec, NOBODY, self.now)))
    }

    /// Why every queued and paused job waits, most urgent first within its type.
    pub fn explain_all(&self) -> Vec<Waiting> {
        let mut reasons = BTreeMap::new();
        let mut all = Vec::new();
        for index in self.index.types.values() {
            for (place, position) in ranks(index) {
                let job = self.cluster.jobs.get(&place);
                all.extend(job.and_then(|job| self.waiting(job, Some(position), &mut reasons)));
            }
            let later = index.backing_off.iter().filter_map(|place| self.cluster.jobs.get(place));
            all.extend(later.filter_map(|job| self.waiting(job, self.position(job), &mut reasons)));
        }
        let paused = self.index.paused.iter().filter_map(|place| self.cluster.jobs.get(place));
        all.extend(paused.filter_map(|job| self.waiting(job, None, &mut reasons)));
        all
    }

    fn waiting(&self, job: &Job, position: Option<usize>, known: &mut Reasons) -> Option<Waiting> {
        let id = job.spec.id.clone();
        if job.status == JobStatus::Paused {
            let by = job.paused.as_ref().and_then(|paused| paused.by.clone());
            return Some(Waiting { job: id, position: None, reason: Reason::PausedFor { job: by }, estimate: None });
        }
        if job.status != JobStatus::Queued {
            return None;
        }
        let reason = match job.not_before.filter(|due| *due > self.now) {
            Some(until) => Reason::BackingOff { until, failures: job.failures, max_attempts: job.spec.max_attempts },
            None => {
                let group = (job.spec.service_type.clone(), job.spec.service_name.clone());
                known.entry(group).or_insert_with(|| self.reason_of_group(job)).clone()
            }
        };
        let estimate = position.and_then(|position| self.estimate(job, position));
        Some(Waiting { job: id, position, reason, estimate })
    }

    fn position(&self, job: &Job) -> Option<usize> {
        if job.status != JobStatus::Queued {
            return None;
        }
        let index = self.index.types.get(&job.spec.service_type)?;
        let rank = (job.spec.priority, job.place);
        let pins = index.pinned.iter().filter(|(pin, _)| job.spec.service_name.as_ref().is_none_or(|own| own == *pin));
        let queues = std::iter::once(&index.queue).chain(pins.map(|(_, queue)| queue));
        Some(1 + queues.map(|queue| queue.range(..rank).count()).sum::<usize>())
    }

    fn estimate(&self, job: &Job, position: usize) -> Option<Estimate> {
        let candidates: Vec<&Registered> = self.cluster.candidates(job).collect();
        let measured = candidates.iter().filter(|known| known.runtimes.len() >= KNOWN_RUNTIMES);
        let measured = measured.max_by_key(|known| known.runtimes.len())?;
        let (short, long) = (measured.runtimes.quantile(5)?, measured.runtimes.quantile(95)?);
        let live = candidates.iter().filter(|known| known.container.is_live());
        let slots: u64 = live.map(|known| u64::from(known.service.max_concurrency)).sum();
        let start_ms = if slots == 0 { measured.typical_start_ms(&self.cluster.policy) } else { 0 };
        let rounds = (position as u64 - 1) / slots.max(1);
        Some(Estimate {
            low_ms: rounds.saturating_mul(short).saturating_add(start_ms),
            high_ms: (rounds + 1).saturating_mul(long).saturating_add(start_ms.saturating_mul(2)),
        })
    }

    fn reason_of_group(&self, job: &Job) -> Reason {
        let candidates: Vec<&Registered> = self.cluster.candidates(job).collect();
        if candidates.is_empty() {
            return self.no_service(job);
        }
        if self.cluster.nodes.is_empty() {
            return Reason::NoNode;
        }
        if candidates.iter().any(|known| known.container.serves()) {
            return self.slots_busy(&candidates);
        }
        let live = candidates.iter().find(|known| known.container.is_live());
        live.and_then(|known| self.reason_of_container(known))
            .or_else(|| candidates.iter().find(|known| self.could_start(known)).map(|known| self.no_room(known, job)))
            .or_else(|| candidates.iter().find_map(|known| self.reason_of_container(known)))
            .unwrap_or(Reason::NoNode)
    }

    fn could_start(&self, known: &Registered) -> bool {
        known.container.is_stopped() && known.container.retry_at.is_none_or(|due| due <= self.now)
    }

    fn no_service(&self, job: &Job) -> Reason {
        let pin = &job.spec.service_name;
        let of_type = |known: &&Registered| known.service.service_type == job.spec.service_type;
        let disabled = self.cluster.services.values().filter(of_type).map(|known| known.service.name.clone());
        let disabled = disabled.filter(|name| pin.as_ref().is_none_or(|pin| pin == name)).collect();
        Reason::NoService { service_type: job.spec.service_type.clone(), pinned: pin.clone(), disabled }
    }

    fn slots_busy(&self, candidates: &[&Registered]) -> Reason {
        let serving = candidates.iter().filter(|known| known.container.serves());
        let slots = serving.clone().map(|known| known.service.max_concurrency as usize).sum();
        let jobs = serving.flat_map(|known| &known.running).filter_map(|place| self.cluster.jobs.get(place));
        let holders = jobs.filter_map(|job| {
            let run = job.run.as_ref()?;
            Some(SlotHolder {
                job: job.spec.id.clone(),
                service: run.service.clone(),
                priority: job.spec.priority,
                for_ms: since_ms(run.started_at, self.now),
                interrupted: run.interrupt.is_some(),
            })
        });
        Reason::SlotsBusy { slots, holders: holders.take(NAMED_SLOTS).collect() }
    }

    fn reason_of_container(&self, known: &Registered) -> Option<Reason> {
        let service = known.service.name.clone();
        let container = &known.container;
        Some(match &container.state {
            State::Starting { since } => Reason::Starting {
                service,
                for_ms: since_ms(*since, self.now),
                typical_ms: known.typical_start_ms(&self.cluster.policy),
            },
            State::Unhealthy { since } => Reason::Unhealthy { service, for_ms: since_ms(*since, self.now) },
            State::Ready { .. } | State::Draining { .. } | State::Stopping { .. } => {
                Reason::Stopping { service, jobs: known.running.len() }
            }
            State::Lost { .. } => {
                Reason::NodeLost { service, node: container.spot.as_ref().map(|spot| spot.node.clone()) }
            }
            State::Stopped => Reason::StartFailed {
                service,
                failures: container.failures,
                retry_at: container.retry_at?,
                error: container.last_error.clone().unwrap_or_default(),
            },
        })
    }

    /// When somebody who works may have to make room for the first of a queue.
    fn makes_room_from(&self, job: &Job) -> Option<Time> {
        let index = self.index.types.get(&job.spec.service_type)?;
        let want = index.wants.iter().find(|want| want.pin == job.spec.service_name)?;
        self.next_look_for(want)
    }

    /// The GPU that is closest to having room, who holds it and what would free it.
    fn no_room(&self, known: &Registered, job: &Job) -> Reason {
        let service = known.service.name.clone();
        let need_mb = known.need_mb(&self.cluster.policy);
        let heard =
            self.cluster.nodes.iter().filter(|(id, node)| node.lost_since.is_none() && known.service.may_be_on(id));
        let mut heard = heard.peekable();
        if heard.peek().is_none() {
            let is_known = self.cluster.nodes.keys().any(|id| known.service.may_be_on(id));
            return if is_known { Reason::NodeLost { service, node: None } } else { Reason::NoNode };
        }
        let unread = heard.clone().find(|(_, node)| node.unread && known.service.gpus > 0).map(|(id, _)| id.clone());
        let usable = heard.flat_map(|(node, held)| held.devices.iter().filter(|id| known.service.may_use(id, node)));
        let usable = usable.filter_map(|id| Some((id, self.cluster.devices.get(id)?)));
        let best = usable.max_by_key(|(id, device)| {
            (device.capacity_mb() >= need_mb, self.soon_free_mb(device), std::cmp::Reverse(*id))
        });
        let (capacity_mb, free_mb, foreign_mb) =
            best.map_or((0, 0, 0), |(_, device)| (device.capacity_mb(), device.free_mb(), device.foreign_mb()));
        let frees = best.map_or(Frees::Nothing, |best| self.frees(best, need_mb, job));
        if let (Frees::Nothing, Some(node)) = (&frees, unread) {
            return Reason::GpusUnread { service, node };
        }
        Reason::NoRoom {
            service,
            need_mb,
            gpus: known.service.gpus,
            device: best.map(|(id, _)| id.clone()),
            capacity_mb,
            free_mb,
            foreign_mb,
            holders: best.map_or_else(Vec::new, |(_, device)| self.room_holders(device)),
            frees,
        }
    }

    fn condition(&self, name: &ServiceName) -> Condition {
        let Some(known) = self.cluster.services.get(name) else {
            return Condition::Busy;
        };
        match known.container.state {
            State::Starting { .. } => Condition::Starting,
            State::Draining { .. } => Condition::Draining,
            State::Stopping { .. } => Condition::Stopping,
            State::Stopped | State::Ready { .. } | State::Unhealthy { .. } | State::Lost { .. } => {
                if known.has_nothing_to_do() { Condition::Idle } else { Condition::Busy }
            }
        }
    }

    fn room_holders(&self, device: &Device) -> Vec<RoomHolder> {
        let holders = device.holders.iter().map(|(name, hold)| RoomHolder {
            service: name.clone(),
            mb: hold.reserved_mb.max(hold.measured_mb.unwrap_or(0)),
            condition: self.condition(name),
            jobs: self.cluster.services.get(name).map_or(0, |known| known.running.len()),
        });
        holders.collect()
    }

    fn soon_free_mb(&self, device: &Device) -> u64 {
        let holders = self.room_holders(device);
        let leaving = holders.iter().filter(|one| matches!(one.condition, Condition::Stopping | Condition::Draining));
        device.free_mb().saturating_add(leaving.map(|one| one.mb).sum())
    }

    fn frees(&self, (_, device): (&GpuId, &Device), need_mb: u64, job: &Job) -> Frees {
        if device.capacity_mb() < need_mb {
            return Frees::Nothing;
        }
        let holders = self.room_holders(device);
        let named = |conditions: &[Condition]| -> Vec<ServiceName> {
            let chosen = holders.iter().filter(|one| conditions.contains(&one.condition));
            chosen.map(|one| one.service.clone()).collect()
        };
        if device.free_mb() >= need_mb {
            let starting = named(&[Condition::Starting, Condition::Stopping]);
            let quiet = is_settled(device, &self.cluster.policy, self.now) && !starting.is_empty();
            return if quiet { Frees::Release { services: starting } } else { Frees::Quiet };
        }
        let leaving = named(&[Condition::Stopping, Condition::Draining]);
        if !leaving.is_empty() {
            return Frees::Release { services: leaving };
        }
        let working = named(&[Condition::Busy, Condition::Idle, Condition::Starting]);
        if working.is_empty() {
            Frees::Others
        } else {
            Frees::JobsEnd { services: working, or_from: self.makes_room_from(job) }
        }
    }
}

/// Reasons that were found, by type and pin: jobs of one group wait for the same thing.
type Reasons = BTreeMap<(ServiceType, Option<ServiceName>), Reason>;

/// Every due job of a type with its position among those it competes with.
fn ranks(index: &TypeIndex) -> Vec<(crate::Place, usize)> {
    let pinned = index.pinned.iter().flat_map(|(pin, queue)| queue.iter().map(move |rank| (*rank, Some(pin))));
    let mut all: Vec<_> = index.queue.iter().map(|rank| (*rank, None)).chain(pinned).collect();
    all.sort_unstable();
    let mut unpinned = 0;
    let mut of_pin: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    let ranked = all.into_iter().enumerate().map(|(before, ((_, place), pin))| match pin {
        None => {
            unpinned += 1;
            (place, before + 1)
        }
        Some(pin) => {
            let own = of_pin.entry(pin).or_default();
            *own += 1;
            (place, unpinned + *own)
        }
    });
    ranked.collect()
}
