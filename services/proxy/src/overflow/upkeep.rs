//! What has to be done for jobs beside performing them: expiry, attempts that were lost, ends that were not told.

use super::choose::has_attempts;
use super::{Overflow, now};
use crate::Proxy;
use crate::config::OverflowConfig;
use crate::metrics;
use bus::Bus;
use domain::deferred::{DeferredJob, DeferredStatus};
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Between looks at what has become due.
const EVERY: Duration = Duration::from_secs(1);
/// Others take what was not put back by then.
const LEAVES_WITHIN: Duration = Duration::from_secs(3);
/// After a subscription that could not be made.
const AGAIN: Duration = Duration::from_millis(500);

/// Hears which proxies live.
pub(super) async fn hear(overflow: &Overflow) {
    loop {
        match overflow.jobs.holders().await {
            Ok(mut holders) => {
                while let Some(holder) = holders.next().await {
                    overflow.board.heard(&holder);
                }
            }
            Err(error) => tracing::warn!(%error, "other proxies are not heard"),
        }
        sleep(AGAIN).await;
    }
}

/// Says that this proxy lives while it has jobs in hand.
pub(super) async fn speak(overflow: &Overflow) {
    let mut beat = interval(Bus::HOLDER_HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let idle = overflow.in_hand().is_empty();
        if !idle && let Err(error) = overflow.jobs.say_alive(&overflow.name).await {
            tracing::warn!(%error, "other proxies are not told that this one lives");
        }
    }
}

/// Does what has become due, again and again.
pub(super) async fn tidy(proxy: &Proxy, overflow: &Arc<Overflow>) {
    let mut beat = interval(EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let setup = proxy.setup();
        let config = &setup.config.overflow;
        for known in overflow.board.open() {
            let done = match due(overflow, config, &known.job) {
                Some(ended) => overflow.write(ended, known.sequence, config.keep).await.map(|_| ()),
                None if known.job.untold && overflow.is_free(&known.job) => overflow.tell(&known, config.keep).await,
                None => Ok(()),
            };
            if let Err(error) = done {
                tracing::warn!(%error, job = known.job.id, "a job could not be tidied up");
                break;
            }
        }
        forget(overflow, config).await;
        // A holder that fell silent, or a backend that came back, is no change of a job.
        overflow.board.wake();
        let (queued, running) = overflow.board.load();
        metrics::jobs(queued, running);
    }
}

/// Puts back what this proxy still has in hand, so that nobody waits for it to be silent for long enough.
pub(super) async fn leave(overflow: &Overflow, keep: Duration) {
    let ours = |job: &DeferredJob| job.holder.as_deref() == Some(&overflow.name) && !job.status.is_end();
    let open = overflow.board.open();
    let back = open.iter().filter(|known| ours(&known.job)).map(|known| {
        let back = known.job.put_back("the proxy that had it was stopped".to_owned());
        overflow.write(back, known.sequence, keep)
    });
    match timeout(LEAVES_WITHIN, join_all(back)).await {
        Ok(done) => tracing::info!(jobs = done.len(), "jobs in hand were put back"),
        Err(_) => tracing::warn!("jobs in hand could not be put back; others take them later"),
    }
}

/// The end that the job has come to by itself.
fn due(overflow: &Overflow, config: &OverflowConfig, job: &DeferredJob) -> Option<DeferredJob> {
    let ours = job.holder.as_deref() == Some(&overflow.name) && job.status == DeferredStatus::Queued;
    if job.status.is_end() || !(ours || overflow.is_free(job)) {
        return None;
    }
    if job.expires_at <= now() {
        let last = job.because.as_ref().map(|because| format!("; at last: {because}")).unwrap_or_default();
        let because = format!("no model server could take it in time{last}");
        return Some(overflow.ended(job, DeferredStatus::Expired, Some(because)));
    }
    if !has_attempts(job, config) {
        let because = format!("{} attempts at it broke off; at the last its proxy was lost", config.attempts);
        return Some(overflow.ended(job, DeferredStatus::Failed, Some(because)));
    }
    None
}

async fn forget(overflow: &Overflow, config: &OverflowConfig) {
    overflow.board.forget_silent(Bus::HOLDER_PATIENCE * 6);
    let kept = i64::try_from(config.keep.as_micros()).unwrap_or(i64::MAX);
    for id in overflow.board.forget_ended(now().as_micros().saturating_sub(kept), config.stored_bytes) {
        if let Err(error) = overflow.jobs.forget(&id).await {
            tracing::warn!(%error, job = id, "a job that is one too many is kept");
        }
    }
}
