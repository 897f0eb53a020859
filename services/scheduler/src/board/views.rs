//! Jobs, services and GPUs as they are shown.

use super::{Board, EXTERNAL_NODE};
use crate::names::{self, As};
use domain::control::{
    DeviceView, HolderView, JobFilter, JobState, JobView, Overview, ServiceState, ServiceView, WaitView,
};
use placement::{Job, JobStatus, Registered, State};
use std::collections::BTreeMap;

/// Jobs of a page that are explained; each costs a walk through those that compete with it.
const EXPLAINED: usize = 200;

/// A job's state in the words of the wire.
pub(crate) fn order_state(status: JobStatus) -> JobState {
    match status {
        JobStatus::Queued => JobState::Queued,
        JobStatus::Running => JobState::Running,
        JobStatus::Paused => JobState::Paused,
        JobStatus::Completed => JobState::Completed,
        JobStatus::Failed => JobState::Failed,
        JobStatus::Cancelled => JobState::Cancelled,
        JobStatus::Expired => JobState::Expired,
    }
}

impl Board {
    /// A job as it stands.
    pub(crate) fn job_view(&self, job: &Job) -> JobView {
        let notes = self.particulars.notes.get(&job.spec.id);
        let run = job.run.as_ref();
        let ran_on = run.map(|run| &run.service).or(notes.and_then(|notes| notes.ran_on.as_ref()));
        JobView {
            id: job.spec.id.cast(),
            place: job.place.0,
            service_type: job.spec.service_type.cast(),
            service_name: job.spec.service_name.as_ref().or(ran_on).map(As::cast),
            pinned: job.spec.service_name.is_some(),
            priority: job.spec.priority,
            status: order_state(job.status),
            cancelling: job.cancel_asked && !job.status.is_terminal(),
            callback_url: notes.and_then(|notes| notes.callback_url.clone()),
            created_at: notes.map_or(job.submitted_at, |notes| notes.created_at),
            started_at: notes.and_then(|notes| notes.started_at),
            completed_at: job.ended_at,
            paused_at: job.paused.as_ref().map(|pause| pause.since),
            paused_by_job_id: job.paused.as_ref().and_then(|pause| pause.by.as_ref()).map(As::cast),
            error: job.error.clone(),
            ttl_seconds: notes.and_then(|notes| notes.ttl_seconds),
            attempts: job.attempt,
            failures: job.failures,
            max_attempts: job.spec.max_attempts,
            deadline: run.map(|run| run.deadline),
            retry_at: job.not_before,
            preempt_count: job.preempt_count,
            progress: notes.and_then(|notes| notes.progress.clone()),
            has_snapshot: notes.is_some_and(|notes| notes.has_snapshot),
            waiting: None,
        }
    }

    /// A job as it stands, with why it waits.
    pub(crate) fn explained(&self, id: &names::Job) -> Option<JobView> {
        let job = self.job(id)?;
        let mut view = self.job_view(job);
        view.waiting = self.engine.explain(id).map(|waiting| WaitView {
            position: waiting.position.map(|position| position as u64),
            position_overall: (job.status == JobStatus::Queued).then(|| self.position_overall(job)),
            text: waiting.reason.to_string(),
            reason: serde_json::to_value(&waiting.reason).unwrap_or_default(),
            low_ms: waiting.estimate.map(|estimate| estimate.low_ms),
            high_ms: waiting.estimate.map(|estimate| estimate.high_ms),
        });
        Some(view)
    }

    fn position_overall(&self, job: &Job) -> u64 {
        let rank = (job.spec.priority, job.place);
        let queued = self.cluster().jobs.values().filter(|other| other.status == JobStatus::Queued);
        1 + queued.filter(|other| (other.spec.priority, other.place) < rank).count() as u64
    }

    /// A page of jobs, and where the next one begins.
    pub(crate) fn jobs(&self, filter: &JobFilter) -> (Vec<JobView>, Option<u64>) {
        let limit = filter.limit.clamp(1, 1_000);
        let (mut page, next) =
            if filter.urgent { (self.urgent(filter, limit), None) } else { self.newest(filter, limit) };
        if filter.explain {
            for view in page.iter_mut().take(EXPLAINED) {
                view.waiting = self.explained(&view.id.cast()).and_then(|explained| explained.waiting);
            }
        }
        (page, next)
    }

    fn newest(&self, filter: &JobFilter, limit: usize) -> (Vec<JobView>, Option<u64>) {
        let from = filter.before.unwrap_or(u64::MAX);
        let fitting = self.cluster().jobs.range(..placement::Place(from)).rev().map(|(_, job)| self.job_view(job));
        let mut page: Vec<JobView> = fitting.filter(|view| filtered(view, filter)).take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|last| last.place);
        (page, next)
    }

    /// Those that come next: running ones, then the queue in its order, then those that have ended.
    fn urgent(&self, filter: &JobFilter, limit: usize) -> Vec<JobView> {
        let stage = |status: JobStatus| match status {
            JobStatus::Running => 0,
            JobStatus::Paused => 1,
            JobStatus::Queued => 2,
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled | JobStatus::Expired => 3,
        };
        let wanted = |job: &&Job| filter.states.is_empty() || filter.states.contains(&order_state(job.status));
        let mut ranked: Vec<&Job> = self.cluster().jobs.values().filter(wanted).collect();
        ranked.sort_unstable_by_key(|job| (stage(job.status), job.spec.priority, job.place));
        ranked.into_iter().map(|job| self.job_view(job)).filter(|view| filtered(view, filter)).take(limit).collect()
    }

    /// A service as it stands.
    pub(crate) fn service_view(&self, name: &names::Service) -> Option<ServiceView> {
        let record = self.particulars.services.get(name)?.clone();
        let known = self.cluster().services.get(name)?;
        let container = &known.container;
        let spot = container.spot.as_ref();
        let state = state_of(known);
        let jobs = known.running.iter().filter_map(|place| self.cluster().jobs.get(place));
        let external = record.url.is_some();
        Some(ServiceView {
            container_running: external || !matches!(state, ServiceState::Stopped | ServiceState::Lost),
            healthy: matches!(container.state, State::Ready { .. } | State::Draining { .. }),
            response_time_ms: self.probed_ms.get(name).copied(),
            active_jobs: jobs.map(|job| job.spec.id.cast()).collect(),
            generation: container.generation,
            node: spot.map(|spot| spot.node.to_string()),
            devices: spot.iter().flat_map(|spot| &spot.devices).map(ToString::to_string).collect(),
            reserved_mb: spot.map_or(0, |spot| spot.vram_mb),
            learned_peak_mb: known.learned.peak_mb,
            started_by_scheduler: container.owned && !container.is_stopped(),
            idle_since: container.idle_since,
            failed_starts: container.failures,
            last_error: container.last_error.clone(),
            retry_at: container.retry_at,
            last_start_ms: known.starts.quantile(50),
            state,
            record,
        })
    }

    /// All services by name.
    pub(crate) fn service_views(&self) -> Vec<ServiceView> {
        self.particulars.services.keys().filter_map(|name| self.service_view(name)).collect()
    }

    /// Everything in numbers.
    pub(crate) fn overview(&self) -> Overview {
        let cluster = self.cluster();
        let (mut jobs, mut by_type, mut by_priority) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for job in cluster.jobs.values() {
            *jobs.entry(job.status.as_str().to_owned()).or_default() += 1;
            if job.status == JobStatus::Queued {
                *by_type.entry(job.spec.service_type.to_string()).or_default() += 1;
                *by_priority.entry(job.spec.priority).or_default() += 1;
            }
        }
        let nodes = cluster.nodes.iter().filter(|(id, _)| id.as_str() != EXTERNAL_NODE);
        Overview {
            leader: self.particulars.leader.clone(),
            epoch: self.particulars.epoch,
            cursor: self.particulars.cursor,
            jobs,
            queued_by_type: by_type,
            queued_by_priority: by_priority,
            devices: self.devices(),
            nodes: nodes.map(|(id, node)| (id.to_string(), node.lost_since)).collect(),
        }
    }

    fn devices(&self) -> Vec<DeviceView> {
        let alive = |node| self.cluster().nodes.get(node).is_some_and(|node| node.lost_since.is_none());
        let devices = self.cluster().devices.iter().map(|(id, device)| DeviceView {
            id: id.to_string(),
            node: device.node.to_string(),
            node_alive: alive(&device.node),
            total_mb: device.total_mb,
            reserve_mb: device.reserve_mb,
            reserved_mb: device.reserved_mb(),
            free_mb: device.free_mb(),
            used_mb: device.measured.as_ref().map(|measure| measure.used_mb),
            foreign_mb: device.foreign_mb(),
            holders: device
                .holders
                .iter()
                .map(|(name, hold)| HolderView {
                    service: name.cast(),
                    reserved_mb: hold.reserved_mb,
                    measured_mb: hold.measured_mb,
                })
                .collect(),
        });
        devices.collect()
    }
}

fn state_of(known: &Registered) -> ServiceState {
    match known.container.state {
        State::Stopped => ServiceState::Stopped,
        State::Starting { .. } => ServiceState::Starting,
        State::Ready { .. } if known.running.is_empty() && !known.in_use() => ServiceState::Idle,
        State::Ready { .. } => ServiceState::Busy,
        State::Unhealthy { .. } => ServiceState::Unhealthy,
        State::Draining { .. } => ServiceState::Draining,
        State::Stopping { .. } => ServiceState::Stopping,
        State::Lost { .. } => ServiceState::Lost,
    }
}

/// Whether a job is listed.
fn filtered(view: &JobView, filter: &JobFilter) -> bool {
    (filter.states.is_empty() || filter.states.contains(&view.status))
        && filter.service_type.as_ref().is_none_or(|kind| *kind == view.service_type)
        && filter.service_name.as_ref().is_none_or(|name| Some(name) == view.service_name.as_ref())
}
