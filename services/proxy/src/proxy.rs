//! The proxy itself: the setup that requests see, and how it is replaced while they run.

mod name;
mod stored;

use self::stored::{tell_models, watch_models};
use crate::config::{Config, FileError, FileSettings, InForce};
use crate::error::ProxyError;
use crate::keys::{Buckets, Common, Keys, Link, count_spending, watch_keys};
use crate::overflow::Overflow;
use crate::relay::client::Upstream;
use crate::relay::parting::Partings;
use crate::relay::watchdog::Watchdog;
use crate::routing::{Fleet, FleetError, Model, Permits, look};
use crate::seats::{Served, Voice, follow_offers};
use crate::usage::{Discard, SharedSink};
use bus::{Bus, BusError};
use domain::control::{ModelOffer, ServiceName};
use domain::keys::KeyRecord;
use domain::models::ModelTable;
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// A look at a backend that is younger than this is believed.
const FRESH: Duration = Duration::from_secs(1);
/// Between two words to the shared counters of limits; a third of the time after which a silent proxy holds nothing.
const LEASES: Duration = Duration::from_secs(5);

/// Everything that serves model traffic. Share it; it starts nothing by itself.
pub struct Proxy {
    setup: RwLock<Arc<Setup>>,
    base: Config,
    /// What this proxy was told by itself: the base and its file.
    settings: RwLock<Config>,
    /// Backends and models that were stored over the API.
    table: RwLock<ModelTable>,
    /// Told at each change of those.
    changed: tokio::sync::Notify,
    /// Keys that were made over the API.
    stored: RwLock<Vec<KeyRecord>>,
    common: Common,
    bus: Option<Bus>,
    /// Requests that became jobs; none without a broker.
    overflow: Option<Arc<Overflow>>,
    name: Arc<str>,
    /// Services that are started on demand, by their names.
    served: RwLock<BTreeMap<ServiceName, Arc<Served>>>,
    voice: Arc<Voice>,
    permits: Arc<Permits>,
    sink: SharedSink,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    watchdog: Arc<Watchdog>,
    partings: Arc<Partings>,
    looking: tokio::sync::Mutex<()>,
    file_seen: Mutex<Option<std::time::SystemTime>>,
    /// One change of the setup at a time.
    changing: Mutex<()>,
}

/// One configuration, ready to be used. Requests keep the one that they began with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) buckets: Option<Arc<Buckets>>,
    pub(crate) upstream: Upstream,
    /// What of the stored backends and models holds; it is a part of `config`.
    pub(crate) in_force: Arc<InForce>,
}

/// Why a configuration was not taken; the one before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A backend or a model.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A key.
    #[error("{0}")]
    Key(String),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Proxy {
    /// A proxy with that configuration; its file, if it names one, is read now.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let merged = with_file(&config)?;
        let upstream = Upstream::new(config.timeouts.connect);
        let buckets = buckets(&merged);
        let common = Common::default();
        let name: Arc<str> = name::own().into();
        let setup = Setup {
            fleet: Arc::new(Fleet::new(&merged, &[], &Fleet::default())?),
            keys: Arc::new(Keys::new(&merged, &[], &common, &Keys::default()).map_err(SetupError::Key)?),
            buckets,
            upstream,
            config: merged.clone(),
            in_force: Arc::default(),
        };
        Ok(Self {
            setup: RwLock::new(Arc::new(setup)),
            file_seen: Mutex::new(changed_at(&config)),
            base: config,
            settings: RwLock::new(merged),
            table: RwLock::default(),
            changed: tokio::sync::Notify::new(),
            stored: RwLock::default(),
            common,
            bus: None,
            overflow: None,
            voice: Voice::new(&name),
            name,
            served: RwLock::default(),
            permits: Arc::default(),
            sink: Arc::new(Discard),
            metrics: Box::new(String::new),
            watchdog: Arc::default(),
            partings: Arc::default(),
            looking: tokio::sync::Mutex::default(),
            changing: Mutex::default(),
        })
    }

    /// Sends accounts there.
    #[must_use]
    pub fn with_sink(mut self, sink: SharedSink) -> Self {
        self.sink = sink;
        self
    }

    /// Answers `/metrics` with that text.
    #[must_use]
    pub fn with_metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Box::new(render);
        self
    }

    /// Takes keys, backends and models from that broker, shares limits of keys with other proxies on it and counts their
    /// budgets. What is there now is known when this returns; [`Self::watch`] follows it.
    pub async fn with_bus(mut self, bus: &Bus) -> Result<Self, BusError> {
        self.common.link = Some(Link::new(bus.clone(), &self.name));
        self.bus = Some(bus.clone());
        self.overflow = Some(Overflow::new(bus, &self.name));
        let keys = bus.keys();
        let (stored, (spending, _)) = tokio::try_join!(keys.list(), keys.spending())?;
        self.common.spending.begin(&spending);
        self.set_stored_keys(stored);
        match bus.models().read().await {
            Ok((table, _)) => self.set_stored_models(table),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => tracing::error!(%error, "only backends and models of the settings are in force"),
        }
        Ok(self)
    }

    /// Takes these keys beside those of the configuration.
    pub(crate) fn set_stored_keys(&self, stored: Vec<KeyRecord>) {
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = stored;
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.setup();
        match self.keys_of(&before.config, &before.keys) {
            Ok(keys) => self.replace(Setup { keys, ..Setup::clone(&before) }),
            Err(error) => tracing::error!(%error, "the keys were not taken; the last good ones stay in force"),
        }
    }

    /// Takes these services as those that are started on demand; what is known of each goes on.
    pub(crate) fn set_offers(&self, offers: Vec<ModelOffer>) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.served.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut next = BTreeMap::new();
        let mut renamed = before.len() != offers.len();
        for offer in offers {
            let service = offer.service.clone();
            let served = match before.get(&service) {
                Some(known) => {
                    renamed |= known.standing().offer.models != offer.models;
                    known.update(offer);
                    Arc::clone(known)
                }
                None => {
                    renamed = true;
                    Served::new(offer, &self.voice)
                }
            };
            next.insert(service, served);
        }
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = next;
        if !renamed {
            return;
        }
        let setup = self.setup();
        match Fleet::new(&setup.config, &self.served(), &setup.fleet) {
            Ok(fleet) => self.replace(Setup { fleet: Arc::new(fleet), ..Setup::clone(&setup) }),
            Err(error) => {
                tracing::error!(%error, "models of services were not taken; the last good ones stay in force")
            }
        }
    }

    /// Whether services that are started on demand can be had.
    pub(crate) fn hears_offers(&self) -> bool {
        self.bus.as_ref().is_some_and(Bus::is_connected)
    }

    /// Services that are started on demand.
    pub(crate) fn served(&self) -> Vec<Arc<Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn keys_of(&self, config: &Config, before: &Keys) -> Result<Arc<Keys>, SetupError> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner).clone();
        Keys::new(config, &stored, &self.common, before).map(Arc::new).map_err(SetupError::Key)
    }

    fn replace(&self, setup: Setup) {
        *self.setup.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setup);
    }

    /// Takes other settings. Requests that run go on undisturbed; backends, queues and keys that did not
    /// change keep what they know.
    pub fn apply(&self, config: Config) -> Result<(), SetupError> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.rebuild(config)
    }

    /// Reads the file again. True if it had changed and was taken.
    pub fn reload(&self) -> Result<bool, SetupError> {
        let changed = changed_at(&self.base);
        let mut seen = self.file_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == changed {
            return Ok(false);
        }
        *seen = changed;
        drop(seen);
        self.apply(with_file(&self.base)?)?;
        Ok(true)
    }

    /// Looks at every backend and at the file, again and again, and follows what is on the bus. Run it as a task; it ends
    /// with its future.
    pub async fn watch(&self) {
        let (Some(bus), Some(overflow)) = (&self.bus, &self.overflow) else { return self.watch_backends().await };
        let leases = async {
            loop {
                tokio::time::sleep(LEASES).await;
                self.setup().keys.upkeep().await;
            }
        };
        let seats = self.voice.speak(bus, || self.served());
        tokio::join!(
            self.watch_backends(),
            watch_keys(self, bus),
            watch_models(self, bus),
            tell_models(self, bus),
            count_spending(self, bus),
            leases,
            follow_offers(self, bus),
            seats,
            Box::pin(overflow.run(self)),
        );
    }

    /// Hands jobs that this proxy has in hand back and lets go of requests that nobody waits for, for an orderly end after
    /// [`Self::watch`] was dropped.
    pub async fn leave(&self) {
        self.partings.end();
        if let Some(overflow) = &self.overflow {
            overflow.leave(self).await;
        }
    }

    async fn watch_backends(&self) {
        tokio::join!(self.keep_looking(), self.keep_retiring(), self.partings.run());
    }

    /// Puts idle servers to sleep, apart from the looks at them: that takes as long as it takes.
    async fn keep_retiring(&self) {
        loop {
            let setup = self.setup();
            tokio::time::sleep(setup.config.timeouts.probe.max(Duration::from_millis(100))).await;
            let well = setup.fleet.backends.iter().filter(|backend| backend.is_healthy() == Some(true));
            let retiring = well.filter_map(|backend| Some(backend.rest.as_ref()?.retire(backend, &setup.upstream)));
            join_all(retiring).await;
        }
    }

    async fn keep_looking(&self) {
        loop {
            match self.reload() {
                Ok(true) => tracing::info!("the proxy's file was read again"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the proxy's file was not taken; the last good one stays in force")
                }
            }
            self.renew_keys();
            self.sweep();
            let setup = self.setup();
            setup.upstream.sweep();
            self.look(&setup, Duration::ZERO).await;
            tokio::time::sleep(setup.config.timeouts.probe.max(Duration::from_millis(100))).await;
        }
    }

    /// Drops streams whose client takes nothing any more; how many. [`Self::watch`] does it by itself.
    pub fn sweep(&self) -> usize {
        let dropped = self.watchdog.sweep(Instant::now());
        if dropped > 0 {
            tracing::warn!(dropped, "streams whose clients stood still were dropped");
        }
        dropped
    }

    /// Guards that are held by requests that have ended; must be 0.
    pub fn leaked_permits(&self) -> i64 {
        self.permits.leaked()
    }

    /// Requests that have not ended, and guards that they hold.
    pub fn open_requests(&self) -> (i64, i64) {
        (self.permits.open(), self.permits.held())
    }

    /// Writes the gauges of what is held and how everybody is, as it stands now.
    pub fn write_gauges(&self) {
        crate::metrics::gauges(&self.permits, &self.setup().fleet);
    }

    /// Requests that stand in the queue of their model.
    pub fn waiting_requests(&self) -> usize {
        self.setup().fleet.active().iter().map(|model| model.admission.load().0).sum()
    }

    /// Requests whose client has left and whose backend is still told so, or read on.
    pub fn parting_requests(&self) -> usize {
        self.partings.count()
    }

    /// Says so if no key is asked for.
    pub fn say_who_may_call(&self) {
        if self.setup().keys.is_open() {
            tracing::warn!(
                "no API key is configured: /v1 answers callers on this machine only; set API_KEYS, or make a key with \
                 `gantry key create`, to let others in"
            );
        }
    }

    /// This proxy among others on the same broker.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(crate) fn overflow(&self) -> Option<&Arc<Overflow>> {
        self.overflow.as_ref()
    }

    pub(crate) fn spending(&self) -> &crate::keys::Spending {
        &self.common.spending
    }

    pub(crate) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    pub(crate) fn watchdog(&self) -> Arc<Watchdog> {
        Arc::clone(&self.watchdog)
    }

    pub(crate) fn partings(&self) -> Arc<Partings> {
        Arc::clone(&self.partings)
    }

    pub(crate) fn sink(&self) -> SharedSink {
        Arc::clone(&self.sink)
    }

    pub(crate) fn render_metrics(&self) -> String {
        (self.metrics)()
    }

    /// The model of that name. One that nobody knows is looked for once more before that is said.
    pub(crate) async fn find_model(&self, setup: &Setup, name: Option<&str>) -> Result<Arc<Model>, ProxyError> {
        match setup.fleet.resolve(name) {
            Err(ProxyError::UnknownModel { .. } | ProxyError::PerhapsElsewhere { .. }) => {
                self.refresh(setup).await;
                setup.fleet.resolve(name)
            }
            other => other,
        }
    }

    /// Looks at backends that were not looked at just now.
    pub(crate) async fn refresh(&self, setup: &Setup) {
        self.look(setup, FRESH).await;
    }

    async fn look(&self, setup: &Setup, age: Duration) {
        let begun = Instant::now();
        // One at a time: who waited finds a fresh look.
        let _turn = self.looking.lock().await;
        let stale = |at: Option<Instant>| at.is_none_or(|at| at < begun && begun.duration_since(at) >= age);
        let due = setup.fleet.backends.iter().filter(|backend| stale(backend.seen().at));
        let looks = due.map(async |backend| {
            let before = backend.is_healthy();
            look(&setup.upstream, backend).await;
            backend.is_healthy() != before
        });
        if join_all(looks).await.contains(&true) {
            // Whoever lists backends learns of it.
            self.changed.notify_one();
        }
    }
}

fn buckets(config: &Config) -> Option<Arc<Buckets>> {
    config.rate.enabled.then(|| Arc::new(Buckets::new(config.rate.per_minute, config.rate.burst)))
}

fn with_file(config: &Config) -> Result<Config, FileError> {
    match &config.file {
        Some(path) => Ok(FileSettings::read(path)?.merged_into(config)),
        None => Ok(config.clone()),
    }
}

fn changed_at(config: &Config) -> Option<std::time::SystemTime> {
    std::fs::metadata(config.file.as_ref()?).and_then(|file| file.modified()).ok()
}
