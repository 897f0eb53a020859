//! A job in this proxy's hand: every step of it is written over the last one, so that it fails once the job is in others'.

use super::board::Known;
use super::{Overflow, now};
use crate::error::ProxyError;
use crate::metrics;
use domain::deferred::DeferredJob;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What is held.
pub(crate) struct Hold {
    overflow: Arc<Overflow>,
    keep: Duration,
    last: Mutex<Arc<Known>>,
}

impl Hold {
    pub(super) fn new(overflow: &Arc<Overflow>, known: &Arc<Known>, keep: Duration) -> Arc<Self> {
        Arc::new(Self { overflow: Arc::clone(overflow), keep, last: Mutex::new(Arc::clone(known)) })
    }

    /// Announces the next attempt. Only when this has returned may a model server see the request.
    pub(crate) async fn announce(&self) -> Result<(), ProxyError> {
        let known = self.step(|job| job.attempted(now())).await?;
        if known.job.attempt == 1 {
            metrics::job_waited(&known.job);
        }
        Ok(())
    }

    /// Writes the next step.
    pub(super) async fn step(
        &self,
        change: impl FnOnce(&DeferredJob) -> DeferredJob,
    ) -> Result<Arc<Known>, ProxyError> {
        let mut last = self.last.lock().await;
        let next = change(&last.job);
        let written = self.overflow.write(next, last.sequence, self.keep).await?;
        *last = written.ok_or(ProxyError::JobTaken)?;
        Ok(Arc::clone(&last))
    }

    /// The last step.
    pub(super) async fn last(&self) -> Arc<Known> {
        Arc::clone(&*self.last.lock().await)
    }

    /// Waits until the job is in other hands, or was taken back.
    pub(super) async fn lost(&self) {
        let id = self.last().await.job.id.clone();
        let Some(mut changes) = self.overflow.board.get(&id) else { return };
        let ours =
            |known: &Known| known.job.holder.as_deref() == Some(&self.overflow.name) && !known.job.status.is_end();
        // An error means that the job was forgotten.
        let _ = changes.wait_for(|known| !ours(known)).await;
    }
}
