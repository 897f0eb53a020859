//! All backends and models of one configuration. A new configuration makes a new fleet; requests keep the one they
//! began with, and backends that did not change are the same in both.

use super::admission::Admission;
use super::backend::Backend;
use super::model::{Model, Replica};
use crate::config::{Bounds, Config, ModelConfig, Timeouts};
use crate::error::ProxyError;
use crate::seats::Served;
use domain::models::SAYS_NOTHING;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Models without an entry of their own whose queue and affinity are kept.
const FOUND: usize = 4_096;

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// A backend that cannot be used.
    #[error("backend '{name}': {reason}")]
    Backend {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A model that cannot be used.
    #[error("model '{name}': {reason}")]
    Model {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Every backend and every model that is known.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) backends: Vec<Arc<Backend>>,
    /// By name and by alias.
    configured: HashMap<String, Arc<Model>>,
    found: Mutex<HashMap<String, Arc<Model>>>,
    default_model: Option<String>,
    bounds: Option<Bounds>,
    /// Of models without times of their own.
    timeouts: Timeouts,
}

impl Fleet {
    /// Builds it, taking over what did not change. A model's entry without replicas is about the services that offer it;
    /// one with replicas takes their place.
    pub(crate) fn new(config: &Config, served: &[Arc<Served>], before: &Self) -> Result<Self, FleetError> {
        let mut fleet = Self {
            default_model: config.default_model.clone(),
            bounds: Some(config.bounds),
            timeouts: config.timeouts,
            ..Self::default()
        };
        for one in &config.backends {
            if fleet.backends.iter().any(|other| other.name() == one.name) {
                return Err(FleetError::Backend { name: one.name.clone(), reason: "is named twice".to_owned() });
            }
            let known = before.backends.iter().find(|backend| backend.is(one)).map(Arc::clone);
            let backend = known.map_or_else(|| Backend::new(one.clone()).map(Arc::new), Ok);
            fleet.backends.push(backend.map_err(|reason| FleetError::Backend { name: one.name.clone(), reason })?);
        }
        let mut offered = by_model(served);
        for one in &config.models {
            let services = if one.replicas.is_empty() { offered.remove(&one.name) } else { None };
            fleet.add(one, services.unwrap_or_default(), before)?;
        }
        fleet.serve(offered, before);
        fleet.keep(before);
        Ok(fleet)
    }

    /// Adds the models of services that are started on demand and have no entry.
    fn serve(&mut self, offered: BTreeMap<String, Vec<Arc<Served>>>, before: &Self) {
        for (name, services) in offered {
            if let Some(model) = self.configured.get(&name) {
                if model.services.is_empty() {
                    let text = "the configuration has a model of that name, so no service is started for it";
                    tracing::warn!(model = name, "{text}");
                }
                continue;
            }
            let admission = door(before.configured.get(&name), None, 0);
            let mut model = Model::new(name.clone(), Vec::new(), admission, self.timeouts);
            model.services = services;
            model.most_waiting = self.queue();
            self.configured.insert(name, Arc::new(model));
        }
    }

    /// Takes over models that only lists name: whoever waits or runs there still counts.
    fn keep(&mut self, before: &Self) {
        if self.default_model != before.default_model {
            return;
        }
        let stays = |replica: &Replica| self.backends.iter().any(|backend| Arc::ptr_eq(backend, &replica.backend));
        let found = before.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.iter().filter(|(name, _)| !self.configured.contains_key(*name));
        let kept = found.filter(|(_, model)| model.replicas.iter().any(stays));
        let kept = kept.map(|(name, model)| (name.clone(), Arc::clone(model))).collect();
        self.found = Mutex::new(kept);
    }

    fn add(&mut self, config: &ModelConfig, services: Vec<Arc<Served>>, before: &Self) -> Result<(), FleetError> {
        let refuse = |reason: String| FleetError::Model { name: config.name.clone(), reason };
        let replicas = config.replicas.iter().map(|replica| {
            let backend = self.backends.iter().find(|backend| backend.name() == replica.backend);
            Ok(Replica {
                backend: backend
                    .cloned()
                    .ok_or_else(|| refuse(format!("there is no backend '{}'", replica.backend)))?,
                upstream_name: replica.model.clone().or_else(|| Some(config.name.clone())),
                weight: replica.weight.unwrap_or(1),
            })
        });
        let replicas = replicas.collect::<Result<Vec<_>, _>>()?;
        if config.says_nothing() {
            return Err(refuse(SAYS_NOTHING.to_owned()));
        }
        let queue = config.queue.unwrap_or(self.queue());
        let capacity = if services.is_empty() { Model::capacity(&replicas) } else { None };
        let admission = door(before.configured.get(&config.name), capacity, queue);
        config.timeouts.check().map_err(refuse)?;
        let timeouts = self.timeouts.of_model(&config.timeouts);
        let mut model = Model::new(config.name.clone(), replicas, admission, timeouts);
        (model.services, model.most_waiting) = (services, queue);
        model.fallbacks.clone_from(&config.fallbacks);
        let model = Arc::new(model);
        for name in std::iter::once(&config.name).chain(&config.aliases) {
            if self.configured.insert(name.clone(), Arc::clone(&model)).is_some() {
                return Err(refuse(format!("the name '{name}' is taken twice")));
            }
        }
        Ok(())
    }

    /// The model of that name; the default one for a request that names none.
    pub(crate) fn resolve(&self, name: Option<&str>) -> Result<Arc<Model>, ProxyError> {
        let Some(name) = name.or(self.default_model.as_deref()) else {
            return Err(ProxyError::NoModel { known: self.names() });
        };
        if let Some(model) = self.configured.get(name) {
            return Ok(Arc::clone(model));
        }
        let listed: Vec<&Arc<Backend>> =
            self.backends.iter().filter(|backend| backend.lists(name) == Some(true)).collect();
        if !listed.is_empty() {
            return Ok(self.found(name, &listed));
        }
        let silent: Vec<&Arc<Backend>> = self.backends.iter().filter(|backend| backend.lists(name).is_none()).collect();
        let is_default = self.default_model.as_deref() == Some(name);
        match (self.backends.as_slice(), silent.as_slice()) {
            // The only backend has not said what it has, or it was configured with this very model: it may be asked.
            ([only], [_]) => Ok(self.found(name, &[only])),
            ([only], []) if is_default => Ok(self.found(name, &[only])),
            (_, []) => Err(ProxyError::UnknownModel { model: name.to_owned(), known: self.names() }),
            // Somebody who does not answer may have it: saying that it does not exist would be a guess.
            (_, [first, ..]) => Err(ProxyError::PerhapsElsewhere {
                model: name.to_owned(),
                silent: first.name().to_owned(),
                known: self.names(),
            }),
        }
    }

    /// A model that only backends' lists name. Its door and its memory stay while its replicas do.
    fn found(&self, name: &str, backends: &[&Arc<Backend>]) -> Arc<Model> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found.get(name).cloned();
        if let Some(model) = &known {
            let same = model.replicas.len() == backends.len()
                && model.replicas.iter().zip(backends).all(|(replica, backend)| Arc::ptr_eq(&replica.backend, backend));
            if same {
                return Arc::clone(model);
            }
        }
        if found.len() >= FOUND {
            found.retain(|_, model| model.admission.load() != (0, 0));
        }
        let replica = |backend: &&Arc<Backend>| Replica {
            backend: Arc::clone(backend),
            // Who asked for another model, and is served by this one as its fallback, named that one.
            upstream_name: Some(name.to_owned()),
            weight: 1,
        };
        let replicas: Vec<Replica> = backends.iter().map(replica).collect();
        let admission = door(known.as_ref(), Model::capacity(&replicas), self.queue());
        let model = Arc::new(Model::new(name.to_owned(), replicas, admission, self.timeouts));
        found.insert(name.to_owned(), Arc::clone(&model));
        model
    }

    /// Requests that may wait for a model that says nothing else.
    fn queue(&self) -> usize {
        self.bounds.map_or(0, |bounds| bounds.queue)
    }

    /// Models with an entry, by every name that they have.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&String, &Arc<Model>)> {
        self.configured.iter()
    }

    /// Models with an entry, without their aliases.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.configured.iter().filter(|(name, model)| **name == model.name).map(|(_, model)| model)
    }

    /// Every model that has carried a request or has an entry, for metrics.
    pub(crate) fn active(&self) -> Vec<Arc<Model>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        self.configured().chain(found.values()).cloned().collect()
    }

    /// Every name that a request may use, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = self.backends.iter().filter_map(|backend| backend.seen().models);
        let mut names: BTreeSet<String> = self.configured.keys().cloned().chain(self.default_model.clone()).collect();
        for list in listed {
            names.extend(list.iter().filter_map(|entry| Some(entry["id"].as_str()?.to_owned())));
        }
        names.into_iter().collect()
    }
}

/// Services that are started on demand, by the models that they offer; several may offer the same.
fn by_model(served: &[Arc<Served>]) -> BTreeMap<String, Vec<Arc<Served>>> {
    let mut offered: BTreeMap<String, Vec<Arc<Served>>> = BTreeMap::new();
    for one in served {
        for name in &one.standing().offer.models {
            offered.entry(name.clone()).or_default().push(Arc::clone(one));
        }
    }
    offered
}

/// The door of that model as it was before, or a new one.
fn door(known: Option<&Arc<Model>>, capacity: Option<usize>, queue: usize) -> Arc<Admission> {
    match known {
        Some(model) => {
            model.admission.resize(capacity, queue);
            Arc::clone(&model.admission)
        }
        None => Admission::new(capacity, queue),
    }
}
