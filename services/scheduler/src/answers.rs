//! Questions: answered from the state, at once or when what they wait for has come.

use crate::board::{Board, job_spec};
use crate::clock;
use crate::effects::{Shared, probe_all};
use crate::names::As;
use bus::control::Asked;
use domain::control::{Ask, JobRequest, JobView, Reply, ServiceState, ServiceView, ServiceWant};
use placement::{Change, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Questions that wait at most; those beyond are answered as things stand.
const MOST_WAITING: usize = 65_536;
/// How long a question about a position waits: then its asker has asked again.
const POSITION_WAITS: Duration = Duration::from_secs(5);

/// Questions that wait for something.
#[derive(Default)]
pub(crate) struct Answers {
    waiting: Vec<(Asked, Instant)>,
}

impl Answers {
    /// Takes a question.
    pub(crate) fn ask(&mut self, asked: Asked, board: &Board, shared: &Arc<Shared>) {
        let wait = match &asked.ask {
            Ask::Outcome { .. } | Ask::Job { .. } => POSITION_WAITS,
            Ask::JobEnded { within_ms, .. } | Ask::ServiceWhen { within_ms, .. } => Duration::from_millis(*within_ms),
            Ask::Jobs(_) | Ask::Service { .. } | Ask::Services { .. } | Ask::Overview | Ask::DryRun { .. } => {
                Duration::ZERO
            }
        };
        if let Some(views) = to_probe(&asked.ask, board) {
            return probe(asked, views, shared);
        }
        match ready(&asked.ask, board) {
            Some(reply) => send(asked, reply, shared),
            None if self.waiting.len() < MOST_WAITING => self.waiting.push((asked, Instant::now() + wait)),
            None => give_up(asked, board, shared),
        }
    }

    /// Answers what can be answered by now, and what has waited long enough.
    pub(crate) fn look(&mut self, board: &Board, shared: &Arc<Shared>) {
        let now = Instant::now();
        let mut index = 0;
        while index < self.waiting.len() {
            let (asked, until) = &self.waiting[index];
            match ready(&asked.ask, board) {
                Some(reply) => send(self.waiting.swap_remove(index).0, reply, shared),
                None if *until <= now => give_up(self.waiting.swap_remove(index).0, board, shared),
                None => index += 1,
            }
        }
    }

    /// When the next has waited long enough.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, until)| *until).min()
    }
}

fn send(asked: Asked, reply: Reply, shared: &Arc<Shared>) {
    shared.spawn("answer", async move { asked.answer(&reply).await });
}

/// The answer as things stand. A question about a position has none: its asker asks again.
fn give_up(asked: Asked, board: &Board, shared: &Arc<Shared>) {
    let reply = match &asked.ask {
        Ask::JobEnded { job, .. } => Reply::Job(board.explained(&job.cast()).map(Box::new)),
        Ask::ServiceWhen { name, .. } => Reply::Service(board.service_view(&name.cast()).map(Box::new)),
        Ask::Outcome { .. }
        | Ask::Job { .. }
        | Ask::Jobs(_)
        | Ask::Service { .. }
        | Ask::Services { .. }
        | Ask::Overview
        | Ask::DryRun { .. } => return,
    };
    send(asked, reply, shared);
}

fn to_probe(ask: &Ask, board: &Board) -> Option<Vec<ServiceView>> {
    match ask {
        Ask::Services { probe: true } => Some(board.service_views()),
        Ask::Service { name, probe: true } => board.service_view(&name.cast()).map(|view| vec![view]),
        Ask::Services { .. }
        | Ask::Service { .. }
        | Ask::Outcome { .. }
        | Ask::Job { .. }
        | Ask::JobEnded { .. }
        | Ask::Jobs(_)
        | Ask::ServiceWhen { .. }
        | Ask::Overview
        | Ask::DryRun { .. } => None,
    }
}

fn probe(asked: Asked, views: Vec<ServiceView>, shared: &Arc<Shared>) {
    let one = matches!(asked.ask, Ask::Service { .. });
    let inner = shared.clone();
    shared.spawn("probe", async move {
        let mut views = probe_all(&inner.http, views).await;
        let reply = if one { Reply::Service(views.pop().map(Box::new)) } else { Reply::Services(views) };
        asked.answer(&reply).await;
    });
}

/// The answer, if what the question waits for is there.
fn ready(ask: &Ask, board: &Board) -> Option<Reply> {
    let cursor = board.particulars.cursor;
    Some(match ask {
        Ask::Outcome { sequence } => {
            if *sequence > cursor {
                return None;
            }
            Reply::Outcome(board.particulars.answers.get(sequence).cloned())
        }
        Ask::Job { job, seen } => {
            if *seen > cursor {
                return None;
            }
            Reply::Job(board.explained(&job.cast()).map(Box::new))
        }
        Ask::JobEnded { job, seen, .. } => {
            let id = job.cast();
            if *seen > cursor || board.job(&id).is_some_and(|job| !job.status.is_terminal()) {
                return None;
            }
            Reply::Job(board.explained(&id).map(Box::new))
        }
        Ask::Jobs(filter) => {
            let (jobs, next) = board.jobs(filter);
            Reply::Jobs { jobs, next }
        }
        Ask::Service { name, .. } => Reply::Service(board.service_view(&name.cast()).map(Box::new)),
        Ask::ServiceWhen { name, want, .. } => {
            let view = board.service_view(&name.cast());
            if view.as_ref().is_some_and(|view| !is_as_wanted(view, *want)) {
                return None;
            }
            Reply::Service(view.map(Box::new))
        }
        Ask::Services { .. } => Reply::Services(board.service_views()),
        Ask::Overview => Reply::Overview(Box::new(board.overview())),
        Ask::DryRun { service_type, service_name, priority } => {
            let id = "dry-run".into();
            let payload = serde_json::value::RawValue::NULL.to_owned();
            let mut request = JobRequest::new(id, service_type.clone(), payload, clock::now());
            request.service_name.clone_from(service_name);
            request.priority = *priority;
            Reply::Job(dry_run(&request, board).map(Box::new))
        }
    })
}

fn is_as_wanted(view: &ServiceView, want: ServiceWant) -> bool {
    let up = matches!(view.state, ServiceState::Idle | ServiceState::Busy);
    match want {
        ServiceWant::Up => up || (view.state == ServiceState::Stopped && view.last_error.is_some()),
        ServiceWant::Down => view.state == ServiceState::Stopped,
        ServiceWant::Idle => view.active_jobs.is_empty(),
    }
}

/// What the engine would decide, on a copy of it.
fn dry_run(request: &JobRequest, board: &Board) -> Option<JobView> {
    let now = clock::now().max(board.last_at);
    let spec = Box::new(job_spec(request, now));
    let id = spec.id.clone();
    let mut copy = Board {
        engine: board.engine.clone(),
        particulars: board.particulars.clone(),
        last_at: board.last_at,
        probed_ms: board.probed_ms.clone(),
        said: board.said.clone(),
    };
    let (_, taken) = copy.engine.on_event(&Event { at: now, change: Change::JobSubmitted { spec } });
    taken.is_ok().then(|| copy.explained(&id)).flatten()
}
