//! What must hold at every step, whatever happened.

use crate::{Action, Cluster, Engine, Interruption, Job, JobId, JobStatus, Place, Registered, State, StopReason};
use domain::Time;
use std::collections::{BTreeMap, BTreeSet};

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

/// Checks that every job is where it was put when it was submitted, and behind all that were submitted before it.
pub(crate) fn check_places(cluster: &Cluster, first: &mut BTreeMap<JobId, Place>) -> Result<(), String> {
    for (place, job) in &cluster.jobs {
        let id = &job.spec.id;
        match first.get(id) {
            Some(before) if before == place => {}
            Some(before) => return Err(format!("job {id} was at {before} and is at {place}")),
            None if first.values().any(|other| other > place) => {
                return Err(format!("job {id} came later than others and is before them, at {place}"));
            }
            None => {
                first.insert(id.clone(), *place);
            }
        }
    }
    Ok(())
}

/// Checks, when a job is sent, that no other that could have had its slot is more urgent, or as urgent and older. Who
/// came back to the queue at this very moment may have come after the decision.
pub(crate) fn check_order(cluster: &Cluster, action: &Action, now: Time) -> Result<(), String> {
    let Action::Dispatch { job: id, service, .. } = action else { return Ok(()) };
    let Some(job) = cluster.job(id) else { return Ok(()) };
    let fits = |other: &&Job| {
        other.status == JobStatus::Queued
            && other.spec.service_type == job.spec.service_type
            && other.spec.service_name.as_ref().is_none_or(|pin| pin == service)
            && other.not_before.is_none_or(|due| due <= now)
            && other.queued_at < now
    };
    let rank = |job: &Job| (job.spec.priority, job.place);
    match cluster.jobs.values().filter(fits).find(|other| rank(other) < rank(job)) {
        Some(other) => Err(format!("job {id} is sent to {service} before {}", other.spec.id)),
        None => Ok(()),
    }
}

/// Checks, at the end, that every job ended as it should: none failed that could have been done, and none was cancelled
/// or expired that nobody cancelled or that had no such limit.
pub(crate) fn check_end(cluster: &Cluster, id: &JobId, cancelled: bool) -> Result<(), String> {
    let Some(job) = cluster.job(id) else { return Err(format!("job {id} is lost")) };
    let due = match job.status {
        JobStatus::Completed => true,
        JobStatus::Failed => job.failures >= job.spec.max_attempts || job.losses > cluster.policy.max_losses,
        JobStatus::Cancelled => cancelled,
        JobStatus::Expired => job.spec.ttl_ms.is_some(),
        JobStatus::Queued | JobStatus::Running | JobStatus::Paused => false,
    };
    if due { Ok(()) } else { Err(format!("job {id} should not have ended so: {job:?}")) }
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
