//! Which jobs this proxy takes next: by priority, then turns among callers. Whoever has room at once comes first; a job
//! that nobody has room for stands in line like any request, one of each model at each proxy.

use super::Overflow;
use super::board::Known;
use crate::config::OverflowConfig;
use crate::proxy::Setup;
use crate::routing::Model;
use domain::Time;
use domain::deferred::{DeferredJob, DeferredStatus};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job that nobody had room for within this time stands in line, so that requests do not keep it out for ever.
const STANDS_IN_LINE: Duration = Duration::from_secs(2);

/// Pauses, so that nobody is asked again before that is of use.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    until: HashMap<Pause, Instant>,
}

/// What pauses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pause {
    /// All jobs of a caller, which has used up what it may.
    Caller(String),
    /// All jobs of a model, which nobody serves now.
    Model(String),
}

impl Pauses {
    pub(super) fn add(&mut self, what: Pause, lasts: Duration) {
        self.until.insert(what, Instant::now() + lasts);
    }

    /// There is no reason for it any more.
    pub(super) fn end(&mut self, what: &Pause) {
        self.until.remove(what);
    }

    /// When the next one is over; those that are over are dropped.
    pub(super) fn next(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.until.retain(|_, until| *until > now);
        self.until.values().min().copied()
    }

    fn hold(&self, what: &Pause) -> bool {
        self.until.get(what).is_some_and(|until| *until > Instant::now())
    }
}

/// Whether one more attempt may be lost.
pub(super) fn has_attempts(job: &DeferredJob, config: &OverflowConfig) -> bool {
    job.lost + u32::from(job.status == DeferredStatus::Running) < config.attempts
}

/// The jobs to take now, each with its model. They count as in hand from here on.
pub(super) fn choose(overflow: &Overflow, setup: &Setup, pauses: &Pauses, now: Time) -> Vec<(Arc<Known>, Arc<Model>)> {
    let open = overflow.board.open();
    let mut room = setup.config.overflow.at_once.saturating_sub(overflow.in_hand().len());
    let mut models: HashMap<Option<String>, Option<Arc<Model>>> = HashMap::new();
    let mut model_of = |name: &Option<String>| {
        let known = models.entry(name.clone());
        known.or_insert_with(|| setup.fleet.resolve(name.as_deref()).ok()).clone()
    };
    let mut in_line: BTreeSet<String> = BTreeSet::new();
    let mut running: HashMap<String, usize> = HashMap::new();
    let mut free = Vec::new();
    for known in open.iter().filter(|known| !known.job.status.is_end()) {
        let job = &known.job;
        if overflow.in_hand().contains(&job.id) {
            *running.entry(job.caller.owner.clone()).or_default() += 1;
            if let Some(model) = model_of(&job.model).filter(|_| job.status == DeferredStatus::Queued) {
                in_line.insert(model.name.clone());
            }
        } else if job.expires_at > now && has_attempts(job, &setup.config.overflow) && overflow.is_free(job) {
            free.push(known);
        }
    }
    let mut chosen = Vec::new();
    while room > 0 {
        let candidates = free.iter().enumerate().filter_map(|(at, known)| {
            let caller = &known.job.caller;
            let model = model_of(&known.job.model)?;
            let has_room = model.admission.has_room() || known.since.elapsed() > STANDS_IN_LINE;
            let waits = !has_room
                || in_line.contains(&model.name)
                || pauses.hold(&Pause::Caller(caller.owner.clone()))
                || pauses.hold(&Pause::Model(model.name.clone()));
            let has = running.get(&caller.owner).copied().unwrap_or(0) as f64 / f64::from(caller.weight.max(1));
            (!waits).then_some((at, -caller.priority, has, model))
        });
        let next = candidates.min_by(|a, b| a.1.cmp(&b.1).then(a.2.total_cmp(&b.2)).then(a.0.cmp(&b.0)));
        let Some((at, _, _, model)) = next else { break };
        let known = free.remove(at);
        in_line.insert(model.name.clone());
        *running.entry(known.job.caller.owner.clone()).or_default() += 1;
        overflow.in_hand().insert(known.job.id.clone());
        chosen.push((Arc::clone(known), model));
        room -= 1;
    }
    chosen
}
