//! Requests that cannot be served now and whose client said `Prefer: respond-async` become jobs, which no death of a proxy
//! loses.
//!
//! A job is a message that every proxy follows ([`board`]). One that has room takes a job by writing itself into it, under
//! the fence of what it read; stands with it in the model's queue as any request does ([`perform`]); and announces each
//! attempt before a model server sees it ([`hold`]). What a silent proxy had in hand is taken by another ([`upkeep`]).
//! Clients see their jobs at `/v1/jobs` ([`routes`], [`events`]).

mod accept;
mod board;
mod choose;
mod events;
mod hold;
mod perform;
mod prefer;
mod request;
pub(crate) mod routes;
#[cfg(test)]
mod tests;
mod upkeep;
mod view;

pub(crate) use accept::{Deferral, is_deferrable};
pub(crate) use hold::Hold;
pub(crate) use perform::work;
pub(crate) use prefer::Wish;

use crate::error::ProxyError;
use crate::metrics;
use board::{Board, Known};
use bus::{Bus, BusError, DeferredJobs, Notices};
use domain::Time;
use domain::deferred::{DeferredJob, DeferredStatus};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The jobs as this proxy sees them, and what it has of them in hand.
pub(crate) struct Overflow {
    jobs: DeferredJobs,
    notices: Notices,
    /// This proxy's name among the others.
    name: String,
    board: Board,
    /// Ids of jobs that this proxy works at.
    in_hand: Mutex<BTreeSet<String>>,
}

impl Overflow {
    /// Over that broker, under that name.
    pub(crate) fn new(bus: &Bus, name: &str) -> Arc<Self> {
        Arc::new(Self {
            jobs: bus.deferred(),
            notices: bus.notices(),
            name: name.to_owned(),
            board: Board::default(),
            in_hand: Mutex::default(),
        })
    }

    /// Follows jobs and other proxies, and performs what there is room for, for as long as it is polled.
    pub(crate) async fn run(self: &Arc<Self>, proxy: &crate::Proxy) {
        tokio::join!(
            self.follow(),
            upkeep::hear(self),
            upkeep::speak(self),
            upkeep::tidy(proxy, self),
            work(proxy, self)
        );
    }

    /// Puts back what this proxy has in hand. For an orderly end, once [`Self::run`] is not polled any more.
    pub(crate) async fn leave(&self, proxy: &crate::Proxy) {
        upkeep::leave(self, proxy.setup().config.overflow.keep).await;
    }

    async fn follow(&self) {
        let mut changes = self.jobs.follow();
        loop {
            let (sequence, job) = changes.next().await;
            self.board.apply(job, sequence);
        }
    }

    /// Writes a job over what was known of it; none when somebody was faster.
    async fn write(&self, job: DeferredJob, last: u64, keep: Duration) -> Result<Option<Arc<Known>>, ProxyError> {
        let ended = job.status.is_end().then_some(job.status);
        let Some(sequence) = self.jobs.write(&job, last, keep).await.map_err(away)? else { return Ok(None) };
        if let Some(status) = ended.filter(|_| job.untold == job.callback_url.is_some()) {
            metrics::job(status.as_str());
        }
        Ok(Some(self.board.apply(job, sequence)))
    }

    /// The job as it stands: as it is followed, or read anew if it is not known here yet.
    async fn find(&self, id: &str) -> Result<Option<Arc<Known>>, ProxyError> {
        if let Some(known) = self.board.get(id) {
            return Ok(Some(known.borrow().clone()));
        }
        let read = self.jobs.read(id).await.map_err(away)?;
        Ok(read.map(|(job, sequence)| self.board.apply(job, sequence)))
    }

    /// Hands the end of a job to the notifier, if somebody wants to be told and was not. Done twice it is the same.
    async fn tell(&self, known: &Known, keep: Duration) -> Result<(), ProxyError> {
        if !known.job.untold || !known.job.status.is_end() {
            return Ok(());
        }
        if let Some(callback) = view::callback(self, &known.job).await? {
            self.notices.call_back(callback).await.map_err(away)?;
        }
        let told = DeferredJob { untold: false, ..known.job.clone() };
        self.write(told, known.sequence, keep).await.map(|_| ())
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody works at the job.
    fn is_free(&self, job: &DeferredJob) -> bool {
        match job.holder.as_deref() {
            None => true,
            Some(holder) if holder == self.name => !self.in_hand().contains(&job.id),
            Some(holder) => self.board.is_silent(holder, Bus::HOLDER_PATIENCE),
        }
    }

    /// The job with an end that this proxy gives it.
    fn ended(&self, job: &DeferredJob, status: DeferredStatus, because: Option<String>) -> DeferredJob {
        DeferredJob { holder: Some(self.name.clone()), ..job.ended(status, because, now()) }
    }
}

fn now() -> Time {
    jiff::Timestamp::now().into()
}

fn away(error: BusError) -> ProxyError {
    ProxyError::JobsAway { why: error.to_string() }
}
