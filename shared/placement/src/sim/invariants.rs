//! What must hold at every step, whatever happened.

use crate::{Action, Cluster, Engine, Interruption, Job, JobStatus, Registered, State, StopReason};
use domain::Time;
use std::collections::BTreeSet;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Broken {
    /// What all chance came from.
    pub seed: u64,
    /// After how many events.
    pub step: u64,
    /// What did not hold.
    pub what: String,
}

/// Checks a state by itself: room, starts, slots, and each job in one state and at one place.
pub fn check(cluster: &Cluster) -> Result<(), String> {
    check_room(cluster)?;
    check_slots(cluster)?;
    cluster.jobs.iter().try_for_each(|(place, job)| {
        if job.place != *place || cluster.places.get(&job.spec.id) != Some(place) {
            return Err(format!("job {} has lost its place {place}", job.spec.id));
        }
        check_job(cluster, job)
    })
}

fn check_room(cluster: &Cluster) -> Result<(), String> {
    for (id, device) in &cluster.devices {
        if device.reserved_mb() > device.capacity_mb() {
            return Err(format!("{} MB of {} MB are set aside on {id}", device.reserved_mb(), device.capacity_mb()));
        }
        let starting = device.holders.keys().filter(|name| {
            let known = cluster.services.get(*name);
            known.is_some_and(|known| matches!(known.container.state, State::Starting { .. }))
        });
        let starting = starting.count();
        if starting > 1 {
            return Err(format!("{starting} containers start at once on {id}"));
        }
    }
    for (name, known) in &cluster.services {
        let spot = known.container.spot.as_ref();
        if known.container.is_stopped() != spot.is_none() {
            return Err(format!("{name} is {:?} but its spot is {spot:?}", known.container.state));
        }
        for id in spot.iter().flat_map(|spot| &spot.devices) {
            if !cluster.devices.get(id).is_some_and(|device| device.holders.contains_key(name)) {
                return Err(format!("{name} is on {id}, which does not know it"));
            }
        }
    }
    Ok(())
}

fn check_slots(cluster: &Cluster) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (name, known) in &cluster.services {
        if known.running.len() > known.service.max_concurrency as usize {
            return Err(format!(
                "{} jobs hold the {} slots of {name}",
                known.running.len(),
                known.service.max_concurrency
            ));
        }
        for place in &known.running {
            let here = cluster.jobs.get(place).and_then(|job| job.run.as_ref()).is_some_and(|run| run.service == *name);
            if !here || !seen.insert(*place) {
                return Err(format!("the job at {place} holds a slot of {name} without running there alone"));
            }
        }
    }
    let running = cluster.jobs.values().filter(|job| job.status == JobStatus::Running).count();
    if running == seen.len() { Ok(()) } else { Err(format!("{running} jobs run in {} slots", seen.len())) }
}

fn check_job(cluster: &Cluster, job: &Job) -> Result<(), String> {
    let id = &job.spec.id;
    let consistent = (job.run.is_some() == (job.status == JobStatus::Running))
        && (job.paused.is_some() == (job.status == JobStatus::Paused))
        && (job.ended_at.is_some() == job.status.is_terminal());
    if !consistent {
        return Err(format!("job {id} is in two states: {job:?}"));
    }
    if job.failures > job.spec.max_attempts || job.losses > cluster.policy.max_losses + 1 {
        return Err(format!("job {id} was tried without bound: {} failures, {} losses", job.failures, job.losses));
    }
    Ok(())
}

/// Checks that every job that waits has a reason.
pub(crate) fn check_reasons(engine: &Engine) -> Result<(), String> {
    let explained: BTreeSet<_> = engine.explain_all().into_iter().map(|waiting| waiting.job).collect();
    let waits = |job: &&Job| matches!(job.status, JobStatus::Queued | JobStatus::Paused);
    match engine.cluster().jobs.values().filter(waits).find(|job| !explained.contains(&job.spec.id)) {
        Some(job) => Err(format!("job {} waits without a reason", job.spec.id)),
        None => Ok(()),
    }
}

/// Checks an action against the state after it: no victim is younger than its minimum runtime.
/// What is in use is stopped for nobody's room.
pub(crate) fn check_action(cluster: &Cluster, action: &Action, now: Time) -> Result<(), String> {
    if let Action::Stop { service, reason: StopReason::Idle | StopReason::Evicted { .. }, .. } = action
        && cluster.services.get(service).is_some_and(Registered::in_use)
    {
        return Err(format!("{service} is stopped while requests use it: {action:?}"));
    }
    let Action::Interrupt { job, service, cause: Interruption::Preempted { by: Some(by) }, .. } = action else {
        return Ok(());
    };
    let (Some(victim), Some(preemptor)) = (cluster.job(job), cluster.job(by)) else {
        return Ok(());
    };
    let (Some(run), Some(known)) = (&victim.run, cluster.services.get(service)) else {
        return Ok(());
    };
    let ran_ms = crate::clock::since_ms(run.started_at, now);
    let least = known.min_runtime_ms(&cluster.policy);
    if ran_ms < least {
        return Err(format!("job {job} is preempted after {ran_ms} ms of at least {least}"));
    }
    let gap = victim.spec.priority - preemptor.spec.priority;
    if gap < cluster.policy.preempt_priority_gap {
        return Err(format!("job {job} is preempted for {by} although the gap is {gap}"));
    }
    Ok(())
}
