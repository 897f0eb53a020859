//! One service that serves models: how it stands, who waits for it, who uses it.

use super::Stage;
use super::say::Voice;
use crate::backends;
use crate::config::BackendConfig;
use crate::error::ProxyError;
use crate::routing::{Backend, Guard, Route, Ticket};
use domain::control::{ModelOffer, OfferStage, SeatWish, ServiceName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A service counts as in use for so long after its last request, so that a trickle of them asks nobody.
const LINGER: Duration = Duration::from_secs(2);
/// When to come back if nothing better is known.
const LATER: Duration = Duration::from_secs(5);

/// A service and this proxy's requests there.
#[derive(Debug)]
pub(crate) struct Served {
    name: ServiceName,
    standing: watch::Sender<Arc<Standing>>,
    asked: Mutex<Asked>,
    voice: Arc<Voice>,
}

/// How it stands, and the backend that it is while it serves.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) offer: ModelOffer,
    backend: Option<Arc<Backend>>,
}

/// What requests want of it, by their priorities.
#[derive(Debug, Default)]
struct Asked {
    waiting: BTreeMap<i32, usize>,
    working: BTreeMap<i32, usize>,
    left_at: Option<Instant>,
    /// The revision of our word since which it is said to be in use.
    in_use_since: Option<u64>,
    last_priority: i32,
}

/// What a request brings.
pub(crate) struct Want<'a> {
    /// Lower is more urgent, as with jobs.
    pub(crate) priority: i32,
    /// Requests that may wait for one service.
    pub(crate) most_waiting: usize,
    /// How long it waits for a start.
    pub(crate) patience: Duration,
    pub(crate) stage: &'a Stage,
    pub(crate) ticket: &'a Ticket,
}

impl Served {
    pub(crate) fn new(offer: ModelOffer, voice: &Arc<Voice>) -> Arc<Self> {
        let backend = backend_of(&offer, None);
        let name = offer.service.clone();
        let standing = watch::Sender::new(Arc::new(Standing { offer, backend }));
        Arc::new(Self { name, standing, asked: Mutex::default(), voice: Arc::clone(voice) })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &ServiceName {
        &self.name
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing.borrow())
    }

    /// The model's name there.
    pub(crate) fn upstream_name(&self) -> Option<String> {
        let offer = &self.standing().offer;
        offer.upstream_model.clone().or_else(|| offer.models.first().cloned())
    }

    /// Whether its kind of server can do that, by itself or through translation.
    pub(crate) fn can(&self, route: Route) -> bool {
        let standing = self.standing();
        let kind = backends::kind(kind_of(&standing.offer));
        kind.is_none_or(|kind| {
            kind.can(route.needs()) || (route.is_anthropic() && kind.can(backends::Capability::Chat))
        })
    }

    /// Takes in how it stands now.
    pub(crate) fn update(&self, offer: ModelOffer) {
        self.standing.send_modify(|standing| {
            let backend = backend_of(&offer, standing.backend.as_ref());
            *standing = Arc::new(Standing { offer, backend });
        });
        self.voice.wake();
    }

    /// The backend and a seat there: at once while it is in use, else once it serves and that is stored.
    pub(crate) async fn seat(self: &Arc<Self>, want: Want<'_>) -> Result<(Arc<Backend>, Guard), ProxyError> {
        let mut standing = self.standing.subscribe();
        if let Some(backend) = self.begin_work(want.priority) {
            return Ok((backend, self.working(&want)));
        }
        let _waits = self.wait(&want)?;
        let (begun, failed_before) = (Instant::now(), standing.borrow().offer.failed_starts);
        loop {
            let now = Arc::clone(&standing.borrow_and_update());
            if let Some(backend) = self.begin_work(want.priority) {
                want.stage.set(None);
                return Ok((backend, self.working(&want)));
            }
            refusal(&now.offer, failed_before)?;
            want.stage.set(Some(told(&now.offer, begun)));
            match timeout_at(begun + want.patience, standing.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(self.took_too_long(&now.offer, begun, want.patience)),
            }
        }
    }

    /// What this proxy needs of it now; `revision` is that of the word in which it would be said. Also when that may change
    /// by itself.
    pub(super) fn wish(&self, revision: u64, now: Instant) -> (Option<SeatWish>, Option<Instant>) {
        let stage = self.standing.borrow().offer.stage;
        let mut asked = self.asked();
        let lingers_until = asked.left_at.map(|at| at + LINGER).filter(|until| *until > now);
        let lingers = asked.in_use_since.is_some() && lingers_until.is_some();
        // What drains must not be held up by requests that wait for it to be started again.
        let comes = matches!(stage, OfferStage::Stopped | OfferStage::Starting | OfferStage::Ready);
        let in_use = !asked.working.is_empty() || lingers || (comes && !asked.waiting.is_empty());
        asked.in_use_since = if in_use { asked.in_use_since.or(Some(revision)) } else { None };
        let waiting = !asked.waiting.is_empty() && stage != OfferStage::Ready;
        if !in_use && !waiting {
            return (None, None);
        }
        let first = |map: &BTreeMap<i32, usize>| map.keys().next().copied();
        let priority = [first(&asked.waiting), first(&asked.working)].into_iter().flatten().min();
        let wish =
            SeatWish { priority: priority.unwrap_or(asked.last_priority), waiting, in_use_since: asked.in_use_since };
        (Some(wish), lingers_until.filter(|_| asked.working.is_empty()))
    }

    /// Counts one more at work, if the use of the service is stored, or it is nobody's to stop.
    fn begin_work(&self, priority: i32) -> Option<Arc<Backend>> {
        let mut asked = self.asked();
        let standing = self.standing.borrow();
        let offer = &standing.offer;
        let backend = standing.backend.as_ref().filter(|_| offer.stage == OfferStage::Ready)?;
        if offer.managed {
            let stored = offer.seated.get(self.voice.holder())?;
            asked.in_use_since.filter(|since| stored >= since && self.voice.is_heard())?;
        }
        *asked.working.entry(priority).or_default() += 1;
        Some(Arc::clone(backend))
    }

    fn working(self: &Arc<Self>, want: &Want<'_>) -> Guard {
        let (served, priority) = (Arc::clone(self), want.priority);
        want.ticket.guard(move || {
            let mut asked = served.asked();
            leave(&mut asked.working, priority);
            asked.last_priority = priority;
            asked.left_at = Some(Instant::now());
            let last = asked.working.is_empty();
            drop(asked);
            if last {
                served.voice.wake();
            }
        })
    }

    fn wait(self: &Arc<Self>, want: &Want<'_>) -> Result<Guard, ProxyError> {
        let mut asked = self.asked();
        let waiting: usize = asked.waiting.values().sum();
        if waiting >= want.most_waiting {
            return Err(ProxyError::QueueFull { model: self.name.to_string(), waiting, retry: LATER });
        }
        *asked.waiting.entry(want.priority).or_default() += 1;
        drop(asked);
        self.voice.wake();
        let (served, priority) = (Arc::clone(self), want.priority);
        Ok(want.ticket.guard(move || {
            leave(&mut served.asked().waiting, priority);
            served.voice.wake();
        }))
    }

    fn took_too_long(&self, offer: &ModelOffer, begun: Instant, after: Duration) -> ProxyError {
        let why = offer.waiting.as_ref().map_or_else(|| offer.stage.as_str().to_owned(), |wait| wait.text.clone());
        let usual = offer.last_start_ms.map(Duration::from_millis);
        let retry = usual.map_or(LATER, |usual| usual.saturating_sub(begun.elapsed())).max(Duration::from_secs(1));
        ProxyError::StartTimeout { service: self.name.to_string(), after, why, retry }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service that a request goes to: one that serves, else one that soon will, else the first that can be started.
pub(crate) fn best(services: &[Arc<Served>]) -> Option<&Arc<Served>> {
    services.iter().min_by_key(|served| {
        let standing = served.standing();
        let hopeless = standing.offer.waiting.as_ref().is_some_and(|wait| wait.hopeless);
        let rank = match standing.offer.stage {
            OfferStage::Ready => 0,
            OfferStage::Starting => 1,
            OfferStage::Stopped => 2,
            OfferStage::Leaving => 3,
            OfferStage::Unavailable => 4,
        };
        (hopeless, rank, standing.backend.as_ref().map_or(0, |backend| backend.outstanding()))
    })
}

fn leave(counts: &mut BTreeMap<i32, usize>, priority: i32) {
    if let Some(count) = counts.get_mut(&priority) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&priority);
        }
    }
}

fn kind_of(offer: &ModelOffer) -> &str {
    offer.backend_kind.as_deref().unwrap_or("openai")
}

/// The backend of a service that serves; the one before, if it is still that.
fn backend_of(offer: &ModelOffer, before: Option<&Arc<Backend>>) -> Option<Arc<Backend>> {
    let address = offer.address.as_ref()?;
    let config = BackendConfig::new(offer.service.as_str(), kind_of(offer), address);
    if let Some(before) = before.filter(|before| before.is(&config)) {
        return Some(Arc::clone(before));
    }
    let backend = Backend::new(config);
    backend
        .inspect_err(|error| tracing::error!(%error, service = %offer.service, "an offer cannot be used"))
        .ok()
        .map(Arc::new)
}

/// Why waiting is of no use, if it is of none.
fn refusal(offer: &ModelOffer, failed_before: u32) -> Result<(), ProxyError> {
    let service = || offer.service.to_string();
    if let Some(wait) = offer.waiting.as_ref().filter(|wait| wait.hopeless) {
        return Err(ProxyError::CannotStart { service: service(), why: wait.text.clone() });
    }
    if offer.stage == OfferStage::Stopped && offer.failed_starts > failed_before {
        let micros =
            |at: domain::Time| at.as_micros().saturating_sub(domain::Time::from(jiff::Timestamp::now()).as_micros());
        let retry = offer.retry_at.map_or(LATER, |at| Duration::from_micros(u64::try_from(micros(at)).unwrap_or(0)));
        let why = offer.last_error.clone().unwrap_or_else(|| "no reason was given".to_owned());
        return Err(ProxyError::StartFailed { service: service(), why, retry });
    }
    Ok(())
}

/// What a client that waits is told.
fn told(offer: &ModelOffer, begun: Instant) -> String {
    use std::fmt::Write as _;
    let waited_ms = begun.elapsed().as_millis();
    let mut text = format!("gantry stage={} service={} waited_ms={waited_ms}", offer.stage.as_str(), offer.service);
    if let Some(wait) = &offer.waiting {
        if let Some(position) = wait.position {
            _ = write!(text, " position={position}");
        }
        if let Some(estimate) = wait.estimate_ms {
            _ = write!(text, " estimate_ms={estimate}");
        }
        _ = write!(text, " {}", wait.text);
    }
    text
}
