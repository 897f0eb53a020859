//! What every route works with, put together once and shared.

use crate::config::ApiConfig;
use crate::principal::Principal;
use crate::runs::recent::Recent;
use bus::{Bus, CommandLog, Inbox, Outcomes};
use domain::{Plane, Time};
use ledger::{Feed, Ledger};
use service::Health;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use store::bundles::Bundles;
use store::runs::{Projector, Runs};
use telemetry::Metrics;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Uploads read into memory at once.
const UPLOADS: usize = 4;
/// How long a list waits for the read model.
const SETTLE: Duration = Duration::from_millis(300);

/// The parts of the surface, shared by all requests. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// Ready-made parts, so that services in one process share them.
pub struct Parts {
    /// The broker.
    pub bus: Bus,
    /// The list of runs.
    pub runs: Runs,
    /// Reads every shard once per process.
    pub projector: Projector,
    /// Live steps, fanned out by run.
    pub feed: Feed,
    /// Installed bundles.
    pub bundles: Bundles,
    /// Readiness of the process.
    pub health: Health,
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Cancelled when the process begins to stop; streams end then.
    pub stop: CancellationToken,
}

/// Everything of the surface.
pub struct Shared {
    /// Settings.
    pub config: ApiConfig,
    /// Places for uploads.
    pub uploads: Semaphore,
    /// The ready-made parts.
    pub parts: Parts,
    /// Runs accepted a moment ago.
    pub recent: Recent,
    /// Whether live steps reach this process without delay.
    pub live: watch::Sender<bool>,
    main: PlaneData,
}

/// The data plane of a principal: everything outside of it does not exist for that caller.
#[derive(Clone)]
pub struct PlaneData {
    /// Its name.
    pub plane: Plane,
    /// Its ledgers.
    pub ledger: Ledger,
    /// Its inboxes.
    pub inbox: Inbox,
    /// Its commands.
    pub commands: CommandLog,
    /// What became of them.
    pub outcomes: Outcomes,
    /// Its bundles.
    pub bundles: Bundles,
}

impl Api {
    /// The surface over its settings and parts.
    pub fn new(config: ApiConfig, parts: Parts) -> Self {
        let main = PlaneData::new(&parts, Plane::main());
        let (uploads, live) = (Semaphore::new(UPLOADS), watch::Sender::new(false));
        Self(Arc::new(Shared { config, uploads, parts, recent: Recent::default(), live, main }))
    }

    /// Waits, a moment at most, until lists hold what this process has already shown to anybody.
    pub async fn settle_lists(&self) {
        self.parts.projector.settle(SETTLE).await;
    }

    /// The data plane of a caller. Without user accounts there is one.
    pub fn plane(&self, _: &Principal) -> &PlaneData {
        &self.main
    }

    /// The only plane of a gateway without user accounts, for tasks that no caller started.
    pub fn main_plane(&self) -> &PlaneData {
        &self.main
    }
}

impl PlaneData {
    fn new(parts: &Parts, plane: Plane) -> Self {
        let bus = &parts.bus;
        Self {
            ledger: Ledger::new(bus, &plane),
            inbox: bus.inbox(&plane),
            commands: bus.commands(&plane),
            outcomes: bus.outcomes(&plane),
            bundles: parts.bundles.clone(),
            plane,
        }
    }
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The one clock of the surface.
pub(crate) fn now() -> Time {
    jiff::Timestamp::now().into()
}
