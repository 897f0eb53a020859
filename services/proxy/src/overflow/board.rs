//! Every job as this proxy last heard of it.

use crate::config::OverflowConfig;
use domain::deferred::{DeferredJob, DeferredStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Jobs that have ended of which is known; the oldest are forgotten first.
const MOST_ENDED: usize = 10_000;

/// A job, and the position of the message that says so.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) job: DeferredJob,
    pub(super) sequence: u64,
    /// When this proxy heard it.
    pub(super) since: Instant,
}

/// The jobs, by id.
#[derive(Debug, Default)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<String, watch::Sender<Arc<Known>>>,
    /// Those that somebody has still to do something about, oldest first.
    open: BTreeSet<(i64, String)>,
    /// When each proxy was last heard.
    heard: BTreeMap<String, Instant>,
    /// Jobs that are being stored.
    coming: BTreeMap<String, Load>,
}

/// What a job adds to what waits.
#[derive(Debug)]
struct Load {
    owner: String,
    bytes: u64,
}

/// A job that is being stored counts until this is dropped.
pub(super) struct Coming<'a> {
    board: &'a Board,
    id: String,
}

/// Why there is no room for one more job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// As many wait as may.
    Jobs { waiting: usize, whose: &'static str },
    /// Their requests have as many bytes as they may have.
    Bytes { waiting: u64 },
}

impl Board {
    /// Takes in what is known of a job; what was known already if that is newer.
    pub(super) fn apply(&self, job: DeferredJob, sequence: u64) -> Arc<Known> {
        let mut state = self.lock();
        let before = state.jobs.get(&job.id);
        if let Some(before) = before.map(|sender| sender.borrow().clone()).filter(|before| before.sequence >= sequence)
        {
            return before;
        }
        let place = (job.created_at.as_micros(), job.id.clone());
        if job.status.is_end() && !job.untold {
            state.open.remove(&place);
        } else {
            state.open.insert(place);
        }
        if let Some(holder) = &job.holder {
            state.heard.insert(holder.clone(), Instant::now());
        }
        let known = Arc::new(Known { job, sequence, since: Instant::now() });
        match state.jobs.get(&known.job.id) {
            Some(sender) => drop(sender.send_replace(Arc::clone(&known))),
            None => drop(state.jobs.insert(known.job.id.clone(), watch::Sender::new(Arc::clone(&known)))),
        }
        drop(state);
        self.changed.send_replace(());
        known
    }

    /// Tells of every change.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Looks again, although no job changed.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// The job of that id, to be followed.
    pub(super) fn get(&self, id: &str) -> Option<watch::Receiver<Arc<Known>>> {
        self.lock().jobs.get(id).map(watch::Sender::subscribe)
    }

    /// Jobs that somebody has still to do something about, oldest first.
    pub(super) fn open(&self) -> Vec<Arc<Known>> {
        let state = self.lock();
        state.open.iter().filter_map(|(_, id)| Some(state.jobs.get(id)?.borrow().clone())).collect()
    }

    /// A caller's jobs, newest first.
    pub(super) fn of(&self, owner: &str) -> Vec<Arc<Known>> {
        let state = self.lock();
        let mut found: Vec<Arc<Known>> = state.jobs.values().map(|sender| sender.borrow().clone()).collect();
        drop(state);
        found.retain(|known| known.job.caller.owner == owner);
        found.sort_by(|a, b| (b.job.created_at, &b.job.id).cmp(&(a.job.created_at, &a.job.id)));
        found
    }

    /// How many jobs of the model have to be taken before this one, and itself: 1 for the next.
    pub(super) fn position(&self, job: &DeferredJob) -> Option<usize> {
        if job.status != DeferredStatus::Queued {
            return None;
        }
        let open = self.open();
        let same = |known: &&Arc<Known>| known.job.status == DeferredStatus::Queued && known.job.model == job.model;
        open.iter().filter(same).position(|known| known.job.id == job.id).map(|at| at + 1)
    }

    /// Makes room for one more job of that caller, with a request of so many bytes.
    pub(super) fn enter(
        &self,
        id: &str,
        owner: &str,
        bytes: u64,
        config: &OverflowConfig,
    ) -> Result<Coming<'_>, Crowded> {
        let open = self.open();
        let mut state = self.lock();
        let waits = |known: &&Arc<Known>| !known.job.status.is_end() && !state.coming.contains_key(&known.job.id);
        let waiting = open.iter().filter(waits).map(|known| (&known.job.caller.owner, known.job.request.bytes));
        let coming = state.coming.values().map(|load| (&load.owner, load.bytes));
        let (mut all, mut of_one, mut stored) = (0, 0, 0);
        for (whose, bytes) in waiting.chain(coming) {
            (all, stored) = (all + 1, stored + bytes);
            of_one += usize::from(whose == owner);
        }
        if of_one >= config.per_caller {
            return Err(Crowded::Jobs { waiting: of_one, whose: "of yours" });
        }
        if all >= config.jobs {
            return Err(Crowded::Jobs { waiting: all, whose: "in all" });
        }
        if stored + bytes > config.stored_bytes {
            return Err(Crowded::Bytes { waiting: stored });
        }
        state.coming.insert(id.to_owned(), Load { owner: owner.to_owned(), bytes });
        Ok(Coming { board: self, id: id.to_owned() })
    }

    /// A proxy was heard.
    pub(super) fn heard(&self, holder: &str) {
        self.lock().heard.insert(holder.to_owned(), Instant::now());
    }

    /// Whether a proxy was not heard for so long.
    pub(super) fn is_silent(&self, holder: &str, patience: Duration) -> bool {
        self.lock().heard.get(holder).is_none_or(|at| at.elapsed() > patience)
    }

    /// Forgets proxies that were silent for so long.
    pub(super) fn forget_silent(&self, patience: Duration) {
        self.lock().heard.retain(|_, at| at.elapsed() <= patience);
    }

    /// Drops jobs that ended before that, in microseconds since 1970, and returns the ids of those that are too many, or
    /// whose answers have too many bytes together: the oldest.
    pub(super) fn forget_ended(&self, before: i64, most_bytes: u64) -> Vec<String> {
        let mut state = self.lock();
        let ended_at = |known: &Known| known.job.ended_at.filter(|_| !known.job.untold).map(|at| at.as_micros());
        state.jobs.retain(|_, sender| ended_at(&sender.borrow()).is_none_or(|at| at >= before));
        let bytes = |known: &Known| known.job.response.as_ref().map_or(0, |response| response.body.bytes);
        let of_one = |(id, sender): (&String, &watch::Sender<Arc<Known>>)| {
            let known = sender.borrow();
            Some((ended_at(&known)?, id.clone(), bytes(&known)))
        };
        let mut ended: Vec<(i64, String, u64)> = state.jobs.iter().filter_map(of_one).collect();
        let (mut count, mut stored) = (ended.len(), ended.iter().map(|(_, _, bytes)| bytes).sum::<u64>());
        if count <= MOST_ENDED && stored <= most_bytes {
            return Vec::new();
        }
        ended.sort_unstable();
        let mut forgotten = Vec::new();
        for (_, id, bytes) in ended {
            if count <= MOST_ENDED && stored <= most_bytes {
                break;
            }
            (count, stored) = (count - 1, stored - bytes);
            state.jobs.remove(&id);
            forgotten.push(id);
        }
        forgotten
    }

    /// How many jobs wait, and how many a model server has.
    pub(super) fn load(&self) -> (usize, usize) {
        let open = self.open();
        let count = |status| open.iter().filter(|known| known.job.status == status).count();
        (count(DeferredStatus::Queued), count(DeferredStatus::Running))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.board.lock().coming.remove(&self.id);
    }
}
