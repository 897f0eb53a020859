//! Build and run: stand by for the lease, lead while it is held, stand by again.

use crate::config::Config;
use crate::drive::{Term, lead};
use crate::error::SchedulerError;
use crate::metrics;
use bus::Bus;
use bus::control::Lease;
use service::{Check, Tasks};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What a scheduler is made of.
pub struct Parts {
    /// The broker.
    pub bus: Bus,
    /// Settings.
    pub config: Config,
    /// Where it says how it is, if somebody listens.
    pub check: Option<Check>,
}

/// The scheduler stops calling itself leader so long before its lease can run out.
const MARGIN: Duration = Duration::from_millis(500);
/// Between two attempts to lead.
const PAUSE: Duration = Duration::from_millis(200);

/// Spawns a scheduler's task. Any number may run; one of them leads.
pub fn spawn(parts: Parts, tasks: &Tasks) {
    let inner = tasks.clone();
    tasks.critical("scheduler", async move {
        serve(parts, inner).await;
        Ok::<(), Infallible>(())
    });
}

async fn serve(parts: Parts, tasks: Tasks) {
    let Parts { bus, config, check } = parts;
    let config = Arc::new(config);
    let name = format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_microsecond());
    let stop = tasks.stop_token();
    let (mut connects, mut led) = (bus.connects(), false);
    connects.mark_unchanged();
    metrics::leading(false);
    while !stop.is_cancelled() {
        let lease = tokio::select! {
            () = stop.cancelled() => return,
            lease = stand_by(&bus, &name, check.as_ref(), &mut connects, led) => lease,
        };
        metrics::leading(true);
        let term = Term {
            bus: bus.clone(),
            config: config.clone(),
            tasks: tasks.clone(),
            name: name.clone(),
            leading: stop.child_token(),
        };
        let ended = under(lease, term).await;
        led = !matches!(ended, Err(SchedulerError::Superseded { .. } | SchedulerError::LeaseLost));
        metrics::leading(false);
        if let Err(error) = ended {
            tracing::warn!(%error, "this scheduler does not lead any more; standing by");
            if let Some(check) = &check {
                check.failing(error.to_string());
            }
        }
        sleep(PAUSE).await;
    }
}

/// Waits until the lease is ours. A broker that restarted has forgotten the lease, and whoever held it may not know yet
/// and have calls under way: so a scheduler that did not lead gives it the time to ask first.
async fn stand_by(
    bus: &Bus,
    name: &str,
    check: Option<&Check>,
    connects: &mut watch::Receiver<u64>,
    led: bool,
) -> Lease {
    let mut not_before = Instant::now();
    loop {
        if connects.has_changed().unwrap_or(false) {
            connects.mark_unchanged();
            if !led {
                not_before = Instant::now() + Bus::LEASE_TTL;
            }
        }
        let held = if Instant::now() < not_before { Ok(None) } else { bus.take_lease(name).await };
        match held {
            Ok(held) => {
                if let Some(check) = check {
                    check.well();
                }
                if let Some(lease) = held {
                    return lease;
                }
            }
            Err(error) => tracing::debug!(%error, "the lease cannot be asked for"),
        }
        sleep(Bus::LEASE_RENEWAL).await;
    }
}

/// Leads under a lease: what ends first ends the other.
async fn under(mut lease: Lease, term: Term) -> Result<(), SchedulerError> {
    let leading = term.leading.clone();
    // Whatever way this is left, also when this task is aborted, calls under way are hung up.
    let _end = leading.clone().drop_guard();
    let ended = tokio::select! {
        ended = lead(term) => ended,
        () = keep(&mut lease, &leading) => Err(SchedulerError::LeaseLost),
    };
    leading.cancel();
    // A lease that was lost is another's by now.
    if !matches!(ended, Err(SchedulerError::LeaseLost)) {
        lease.release().await;
    }
    ended
}

/// Renews the lease until that fails for too long.
async fn keep(lease: &mut Lease, leading: &CancellationToken) {
    let mut held_until = Instant::now() + Bus::LEASE_TTL;
    loop {
        sleep(Bus::LEASE_RENEWAL).await;
        let asked = Instant::now();
        let renewed = tokio::time::timeout_at(held_until - MARGIN, lease.renew()).await;
        match renewed {
            Ok(Ok(true)) => held_until = asked + Bus::LEASE_TTL,
            Ok(Ok(false)) | Err(_) => break,
            Ok(Err(error)) => tracing::debug!(%error, "the lease was not renewed; trying again"),
        }
        if asked + MARGIN >= held_until {
            break;
        }
    }
    leading.cancel();
}
