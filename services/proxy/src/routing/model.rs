//! A model that clients can name, and the choice among the places where it runs.

use super::admission::Admission;
use super::affinity::Affinity;
use super::backend::Backend;
use super::route::Route;
use crate::config::Timeouts;
use crate::error::ProxyError;
use crate::metrics::Meters;
use crate::seats::Served;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A model and its replicas.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) replicas: Vec<Replica>,
    /// Services that are started for it, where it has no replicas.
    pub(crate) services: Vec<Arc<Served>>,
    /// Requests that may wait for one of them to start.
    pub(crate) most_waiting: usize,
    pub(crate) fallbacks: Vec<String>,
    pub(crate) admission: Arc<Admission>,
    /// How long each phase of its requests may take.
    pub(crate) timeouts: Timeouts,
    pub(crate) affinity: Affinity,
    turn: AtomicUsize,
    pub(crate) meters: Meters,
}

/// One place where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) backend: Arc<Backend>,
    /// Its name there, if it differs from the one that clients use.
    pub(crate) upstream_name: Option<String>,
    pub(crate) weight: u32,
}

/// A replica that saw the prompt before may carry so many times the load of the idlest, and so many requests more.
const AFFINITY_FACTOR: f64 = 1.5;
const AFFINITY_SLACK: f64 = 2.0;

impl Model {
    /// A model with its door, and with nothing but its replicas.
    pub(crate) fn new(name: String, replicas: Vec<Replica>, admission: Arc<Admission>, timeouts: Timeouts) -> Self {
        let (affinity, turn, meters) = (Affinity::default(), AtomicUsize::new(0), Meters::of(&name));
        let (services, most_waiting, fallbacks) = (Vec::new(), 0, Vec::new());
        Self { name, replicas, services, most_waiting, fallbacks, admission, timeouts, affinity, turn, meters }
    }

    /// Requests that all replicas take at once; none if one of them has no bound.
    pub(crate) fn capacity(replicas: &[Replica]) -> Option<usize> {
        replicas.iter().map(|replica| replica.backend.concurrency()).sum()
    }

    /// Whether any replica can do that; the refusal names the first backend.
    pub(crate) fn check(&self, route: Route) -> Result<(), ProxyError> {
        if self.services.iter().any(|service| service.can(route)) {
            return Ok(());
        }
        if let Some(service) = self.services.first() {
            return Err(ProxyError::NotSupported { backend: service.name().to_string(), what: route.needs().title() });
        }
        if self.replicas.is_empty() || self.replicas.iter().any(|replica| route.is_served_by(&replica.backend)) {
            return Ok(());
        }
        let backend = self.replicas.first().map_or("none", |replica| replica.backend.name());
        Err(ProxyError::NotSupported { backend: backend.to_owned(), what: route.needs().title() })
    }

    /// The replica with the least load among those not tried yet, or the one that saw the prompt before.
    pub(crate) fn choose(
        &self,
        route: Route,
        tried: &[usize],
        fingerprint: Option<u64>,
        now: Instant,
    ) -> Result<usize, ProxyError> {
        if let [only] = self.replicas.as_slice()
            && tried.is_empty()
            && route.is_served_by(&only.backend)
            && only.backend.breaker.closed_for(now).is_zero()
        {
            return Ok(0);
        }
        let able: Vec<usize> = (0..self.replicas.len())
            .filter(|at| !tried.contains(at) && route.is_served_by(&self.replicas[*at].backend))
            .collect();
        let open: Vec<usize> =
            able.iter().copied().filter(|at| self.replicas[*at].backend.breaker.closed_for(now).is_zero()).collect();
        let well: Vec<usize> =
            open.iter().copied().filter(|at| self.replicas[*at].backend.is_healthy() != Some(false)).collect();
        // A look may be out of date, and a pause is there to send requests elsewhere: with nowhere else to go, those who
        // seem unwell are asked all the same.
        let candidates = match (well.is_empty(), open.is_empty(), self.fallbacks.is_empty()) {
            (false, _, _) => well,
            (true, false, _) => open,
            (true, true, true) => able.clone(),
            (true, true, false) => Vec::new(),
        };
        let idlest = self.idlest(&candidates).ok_or_else(|| self.nobody(&able, now))?;
        let remembered = fingerprint.and_then(|fingerprint| self.affinity.recall(fingerprint));
        let bound = self.load(idlest) * AFFINITY_FACTOR + AFFINITY_SLACK;
        let chosen = remembered.filter(|at| candidates.contains(at) && self.load(*at) <= bound).unwrap_or(idlest);
        if let Some(fingerprint) = fingerprint {
            self.affinity.note(fingerprint, chosen);
        }
        Ok(chosen)
    }

    fn idlest(&self, candidates: &[usize]) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let length = candidates.len().max(1);
        // Equals take turns.
        (0..candidates.len())
            .map(|step| candidates[(turn + step) % length])
            .min_by(|a, b| self.load(*a).total_cmp(&self.load(*b)))
    }

    fn load(&self, at: usize) -> f64 {
        let replica = &self.replicas[at];
        replica.backend.outstanding() as f64 / f64::from(replica.weight.max(1))
    }

    fn nobody(&self, able: &[usize], now: Instant) -> ProxyError {
        let pauses = able.iter().map(|at| self.replicas[*at].backend.breaker.closed_for(now));
        let retry = pauses.min().unwrap_or(Duration::from_secs(5)).max(Duration::from_secs(1));
        ProxyError::NoReplica { model: self.name.clone(), retry }
    }
}
