//! Backends and models that were stored over the API: followed, taken, and told of.

use super::{Proxy, Setup, SetupError};
use crate::config::{Config, InForce, ModelConfig, merge};
use crate::routing::Fleet;
use bus::Bus;
use domain::models::{BackendReport, Kind, ModelSpec, ModelTable, ProxyReport, ReplicaSpec};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Pause before a watch that broke is begun anew.
const AGAIN: Duration = Duration::from_millis(200);

impl Proxy {
    /// Takes these backends and models beside those of the settings. Requests that run go on undisturbed.
    pub(crate) fn set_stored_models(&self, table: ModelTable) {
        // A watch that begins anew tells again what is known.
        if *self.table.read().unwrap_or_else(PoisonError::into_inner) != table {
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
            self.take_stored_models();
        }
    }

    fn take_stored_models(&self) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = self.rebuild(settings) {
            tracing::error!(%error, "stored backends and models were not taken; the last good ones stay in force");
        }
    }

    /// Reads keys anew that lie in files, if one of those files is another one by now.
    pub(crate) fn renew_keys(&self) {
        if self.setup().in_force.is_stale() {
            self.take_stored_models();
        }
    }

    /// Puts a setup of those settings and of all that is stored in force. Only in a turn of changing.
    pub(super) fn rebuild(&self, settings: Config) -> Result<(), SetupError> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (config, in_force) = merge(&settings, &table);
        let before = self.setup();
        let buckets = match (&before.buckets, config.rate == before.config.rate) {
            (Some(buckets), true) => Some(Arc::clone(buckets)),
            (_, _) => super::buckets(&config),
        };
        let setup = Setup {
            fleet: Arc::new(Fleet::new(&config, &self.served(), &before.fleet)?),
            keys: self.keys_of(&config, &before.keys)?,
            buckets,
            upstream: before.upstream.clone(),
            config,
            in_force: Arc::new(in_force),
        };
        warn_of(&setup.in_force, &before.in_force);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.replace(setup);
        self.changed.notify_one();
        Ok(())
    }

    /// What is in force here.
    fn report(&self) -> ProxyReport {
        let setup = self.setup();
        let backends = setup.fleet.backends.iter().map(|backend| {
            let seen = backend.seen();
            BackendReport {
                name: backend.name().to_owned(),
                kind: backend.kind.name.to_owned(),
                base_url: backend.base_url().to_owned(),
                stored: setup.in_force.backends.contains(backend.name()),
                healthy: seen.healthy,
                reason: seen.reason,
            }
        });
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        ProxyReport {
            proxy: self.name().to_owned(),
            revision: setup.in_force.revision,
            backends: backends.collect(),
            own_models: settings.models.iter().map(own).collect(),
            passed_over: setup.in_force.passed_over.clone(),
        }
    }
}

/// An entry of the proxy's own settings as it is told.
fn own(model: &ModelConfig) -> (String, ModelSpec) {
    let replicas = model.replicas.iter().map(|one| ReplicaSpec {
        backend: one.backend.clone(),
        model: one.model.clone(),
        weight: one.weight,
    });
    let spec = ModelSpec {
        aliases: model.aliases.clone(),
        replicas: replicas.collect(),
        fallbacks: model.fallbacks.clone(),
        queue: model.queue.map(|queue| u32::try_from(queue).unwrap_or(u32::MAX)),
        timeouts: model.timeouts,
    };
    (model.name.clone(), spec)
}

/// Says once of each entry that it is not in force.
fn warn_of(now: &InForce, before: &InForce) {
    for one in now.passed_over.iter().filter(|one| !before.passed_over.contains(one)) {
        let what = match one.kind {
            Kind::Backend => "backend",
            Kind::Model => "model",
        };
        tracing::warn!(name = one.name, because = one.because, "a stored {what} is passed over");
    }
}

/// Takes over every change of what is stored, for ever. The last known state holds while the broker is away.
pub(super) async fn watch_models(proxy: &Proxy, bus: &Bus) {
    let models = bus.models();
    loop {
        if let Err(error) = models.watch(|table| proxy.set_stored_models(table)).await {
            tracing::debug!(%error, "backends and models are watched anew");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Says what is in force here, at each change and now and then.
pub(super) async fn tell_models(proxy: &Proxy, bus: &Bus) {
    let models = bus.models();
    loop {
        if let Err(error) = models.report(&proxy.report()).await {
            tracing::debug!(%error, "what is in force here was not told");
        }
        if tokio::time::timeout(Bus::PROXY_REPORTS, proxy.changed.notified()).await.is_err() {
            continue;
        }
        // New backends are looked at once everybody knows of them.
        if let Err(error) = models.report(&proxy.report()).await {
            tracing::debug!(%error, "what is in force here was not told");
        }
        proxy.refresh(&proxy.setup()).await;
    }
}
