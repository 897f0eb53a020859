//! The loop: what is due next happens, its event is taken in, what was decided is carried out, and all is checked.

use super::invariants::{Broken, check, check_action, check_end, check_order, check_places, check_reasons};
use super::load::{self, Task, Truth};
use super::real::Reality;
use super::report::{Report, Tally};
use super::{Chance, Discipline, Fifo, Knobs};
use crate::{Action, Change, Cluster, Engine, Event, GpuId, JobId, NodeId, Place, ServiceName, Spot};
use domain::Time;
use std::collections::BTreeMap;

mod happen;
mod perform;
mod visits;

/// How often an agent measures although nothing has changed.
const HEARTBEAT_MS: u64 = 20_000;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Arrive(usize),
    Cancel(usize),
    Deliver(Change),
    AgentStart {
        service: ServiceName,
        spot: Spot,
        generation: u64,
    },
    AgentStop {
        service: ServiceName,
        generation: u64,
    },
    Healthy {
        service: ServiceName,
        generation: u64,
    },
    Measure(GpuId),
    ServiceGets {
        job: JobId,
        attempt: u32,
        service: ServiceName,
        generation: u64,
    },
    ServiceInterrupt {
        job: JobId,
        attempt: u32,
        service: ServiceName,
    },
    Ends {
        job: JobId,
        attempt: u32,
        service: ServiceName,
        generation: u64,
    },
    /// Requests of one proxy want a service.
    VisitBegins(usize),
    /// They look again whether it serves.
    VisitLooks {
        number: usize,
        since_ms: u64,
    },
    /// They are answered, or have waited long enough.
    VisitEnds(usize),
    AgentCrash,
    AgentReturn {
        node: NodeId,
    },
    SchedulerRestart,
    /// An agent measures whether or not anything changed.
    Heartbeat,
    Wake,
}

enum Decider {
    Gantry(Box<Engine>),
    Fifo(Box<Fifo>),
}

/// A simulated gateway with its hosts.
pub struct World {
    knobs: Knobs,
    chance: Chance,
    now: i64,
    sequence: u64,
    agenda: BTreeMap<(i64, u64), Happening>,
    decider: Decider,
    log: Vec<Event>,
    real: Reality,
    truth: BTreeMap<ServiceName, Truth>,
    tasks: Vec<Task>,
    /// When each job's present attempt began.
    began: BTreeMap<JobId, i64>,
    /// Where each job was first.
    places: BTreeMap<JobId, Place>,
    tally: Tally,
    steps: u64,
    woken_at: Option<i64>,
}

impl World {
    /// A world at its beginning.
    pub fn new(knobs: &Knobs) -> Self {
        let mut chance = Chance::new(knobs.seed);
        let truth = load::services(knobs, &mut chance);
        let tasks = load::jobs(knobs, &mut chance);
        let origin = Time::from_micros(0);
        let decider = match knobs.discipline {
            Discipline::Gantry => Decider::Gantry(Box::new(Engine::new(Cluster::default(), origin))),
            Discipline::Fifo => Decider::Fifo(Box::new(Fifo::new())),
        };
        let mut tally = Tally::default();
        tally.report.seed = knobs.seed;
        Self {
            knobs: knobs.clone(),
            chance,
            now: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            decider,
            log: Vec::new(),
            real: Reality::default(),
            truth,
            tasks,
            began: BTreeMap::new(),
            places: BTreeMap::new(),
            tally,
            steps: 0,
            woken_at: None,
        }
    }

    /// Runs to the end of the last job.
    pub fn run(mut self) -> Result<Report, Broken> {
        self.set_up()?;
        let horizon = self.horizon();
        while !self.is_over() {
            let Some(((at, _), happening)) = self.agenda.pop_first() else {
                return Err(self.broken(self.describe_stuck()));
            };
            self.now = at;
            self.happen(happening)?;
            self.plan_wake();
            if self.now > horizon {
                return Err(self.broken(self.describe_stuck()));
            }
        }
        for task in self.tasks.iter().filter(|_| self.knobs.check) {
            check_end(self.cluster(), &task.spec.id, task.cancel_after_ms.is_some())
                .map_err(|what| self.broken(what))?;
        }
        let last_end = self.count_ends();
        self.compare_replay()?;
        let gpus = self.knobs.nodes * self.knobs.gpus_per_node;
        let first = self.tasks.first().map_or(0, |task| task.at_ms);
        let makespan = u64::try_from(last_end / 1_000).unwrap_or(0).saturating_sub(first);
        Ok(self.tally.finish(gpus, makespan))
    }

    fn set_up(&mut self) -> Result<(), Broken> {
        self.take_in(Change::PolicySet { policy: self.knobs.policy.clone() })?;
        let services: Vec<_> = self.truth.values().map(|truth| truth.service.clone()).collect();
        for service in services {
            self.take_in(Change::ServiceRegistered { service: Box::new(service) })?;
        }
        for node in 0..self.knobs.nodes {
            self.agent_appears(&NodeId::from(format!("n{node}")))?;
        }
        for number in 0..self.tasks.len() {
            let at = i64::try_from(self.tasks[number].at_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
            self.agenda.insert((at, self.sequence), Happening::Arrive(number));
            self.sequence += 1;
        }
        self.invite();
        self.later(HEARTBEAT_MS, Happening::Heartbeat);
        if self.knobs.faults.agent_crash_ms > 0 {
            let first = self.chance.exponential_ms(self.knobs.faults.agent_crash_ms);
            self.later(first, Happening::AgentCrash);
        }
        if self.knobs.faults.scheduler_restart_ms > 0 {
            let first = self.chance.exponential_ms(self.knobs.faults.scheduler_restart_ms);
            self.later(first, Happening::SchedulerRestart);
        }
        Ok(())
    }

    /// When a history is taken not to end: later than if all jobs ran one after another, each to its time limit.
    fn horizon(&self) -> i64 {
        let last = self.tasks.last().map_or(0, |task| task.at_ms);
        let work = self.knobs.job_timeout_ms.saturating_mul(4).saturating_mul(self.knobs.jobs);
        let ms = last.saturating_add(work).saturating_add(3_600_000);
        i64::try_from(ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000)
    }

    fn is_over(&self) -> bool {
        let cluster = self.cluster();
        cluster.jobs.len() == self.tasks.len() && cluster.jobs.values().rev().all(|job| job.status.is_terminal())
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        match &self.decider {
            Decider::Gantry(engine) => engine.cluster(),
            Decider::Fifo(fifo) => fifo.cluster(),
        }
    }

    fn time(&self) -> Time {
        Time::from_micros(self.now)
    }

    /// Puts something on the agenda.
    fn later(&mut self, ms: u64, happening: Happening) {
        let at =
            self.now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000)).saturating_add(700);
        self.agenda.insert((at, self.sequence), happening);
        self.sequence += 1;
    }

    /// Puts a message on its way, with what may happen to messages.
    fn send(&mut self, ms: u64, happening: Happening) {
        let faults = self.knobs.faults.clone();
        let hostile = self.is_hostile();
        if hostile && self.chance.percent(faults.lost_percent) {
            return;
        }
        let late =
            if hostile && self.chance.percent(faults.delay_percent) { self.chance.below(faults.delay_ms) } else { 0 };
        if hostile && self.chance.percent(faults.duplicate_percent) {
            let again = self.chance.below(2_000);
            self.later(ms + again, happening.clone());
        }
        self.later(ms + late, happening);
    }

    fn is_hostile(&self) -> bool {
        self.now < i64::try_from(self.knobs.faults.until_ms).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    /// Takes in what the scheduler hears, and carries out what it decides.
    fn take_in(&mut self, change: Change) -> Result<(), Broken> {
        let event = Event { at: self.time(), change };
        self.before(&event);
        let expected = self.whole_decision(&event);
        let (actions, applied) = match &mut self.decider {
            Decider::Gantry(engine) => engine.on_event(&event),
            Decider::Fifo(fifo) => fifo.on_event(&event),
        };
        if applied.is_ok() {
            self.log.push(event);
        }
        self.compare(expected, &actions)?;
        self.carry_out(actions)
    }

    fn on_time(&mut self) -> Result<(), Broken> {
        let now = self.time();
        let expected = self.knobs.compare.then(|| crate::decide(self.cluster(), now).actions);
        let actions = match &mut self.decider {
            Decider::Gantry(engine) => engine.on_time(now),
            Decider::Fifo(fifo) => fifo.on_time(now),
        };
        self.compare(expected, &actions)?;
        self.carry_out(actions)
    }

    fn whole_decision(&self, event: &Event) -> Option<Vec<Action>> {
        if !self.knobs.compare {
            return None;
        }
        let mut cluster = self.cluster().clone();
        let _refused_changes_nothing = cluster.apply(event);
        Some(crate::decide(&cluster, event.at).actions)
    }

    fn compare(&self, expected: Option<Vec<Action>>, actions: &[Action]) -> Result<(), Broken> {
        match expected {
            Some(expected) if expected != actions => {
                Err(self.broken(format!("one event decided {actions:?}, the whole decides {expected:?}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> Result<(), Broken> {
        let now = self.time();
        for action in &actions {
            self.log.push(Event { at: now, change: action.change() });
        }
        self.steps += 1 + actions.len() as u64;
        self.tally.report.events = self.steps;
        if self.knobs.check {
            self.check(&actions).map_err(|what| self.broken(what))?;
        }
        for action in actions {
            self.note(&action);
            self.perform(action);
        }
        let doubled = self.real.doubled(self.knobs.max_concurrency).filter(|_| self.knobs.check);
        doubled.map_or(Ok(()), |what| Err(self.broken(what)))
    }

    /// What must hold after each step.
    fn check(&mut self, actions: &[Action]) -> Result<(), String> {
        let now = self.time();
        let cluster = match &self.decider {
            Decider::Gantry(engine) => {
                actions.iter().try_for_each(|action| check_order(engine.cluster(), action, now))?;
                check_reasons(engine)?;
                engine.cluster()
            }
            Decider::Fifo(fifo) => fifo.cluster(),
        };
        actions.iter().try_for_each(|action| check_action(cluster, action, now))?;
        check_places(cluster, &mut self.places)?;
        check(cluster)
    }

    /// Asks to be woken when the decider wants to be, once for each moment.
    fn plan_wake(&mut self) {
        let wake = match &self.decider {
            Decider::Gantry(engine) => engine.wake_at(),
            Decider::Fifo(fifo) => fifo.wake_at(),
        };
        let Some(at) = wake.map(|at| at.as_micros().max(self.now)) else {
            return;
        };
        if self.woken_at.is_none_or(|planned| planned <= self.now || at < planned) {
            self.woken_at = Some(at);
            self.agenda.insert((at, self.sequence), Happening::Wake);
            self.sequence += 1;
        }
    }

    fn describe_stuck(&self) -> String {
        let waiting = match &self.decider {
            Decider::Gantry(engine) => engine.explain_all(),
            Decider::Fifo(_) => Vec::new(),
        };
        let open = self.cluster().jobs.values().filter(|job| !job.status.is_terminal()).count();
        let reasons: Vec<String> = waiting.iter().map(|one| format!("{}: {}", one.job, one.reason)).collect();
        format!("{open} jobs do not end; {}", reasons.join("; "))
    }

    fn broken(&self, what: String) -> Broken {
        Broken { seed: self.knobs.seed, step: self.steps, what }
    }
}
