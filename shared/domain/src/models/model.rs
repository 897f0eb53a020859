//! A model with an entry of its own, as it is stored.

use super::{Fault, ModelTimeouts};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is wrong with an entry that says nothing of its model.
pub const SAYS_NOTHING: &str =
    "a model needs a replica or a fallback; one of registered services an alias, a queue or times of its own";

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where it runs. None for a model of registered services, which are started when it is asked for.
    #[serde(default)]
    pub replicas: Vec<ReplicaSpec>,
    /// Models that serve in its place when no replica answers, in order.
    #[serde(default)]
    pub fallbacks: Vec<String>,
    /// Requests that may wait for it; none for the bound of the proxy's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Times of its own.
    #[serde(default)]
    pub timeouts: ModelTimeouts,
}

/// One place where a model runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaSpec {
    /// The backend's name.
    pub backend: String,
    /// The model's name there, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its share of the requests beside the others'; 1 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl ModelSpec {
    /// Refuses what is wrong by itself, whatever else there is.
    pub fn check(&self, name: &str) -> Result<(), Fault> {
        check_name("name", name)?;
        count("aliases", self.aliases.len(), limits::ALIASES_PER_MODEL)?;
        count("replicas", self.replicas.len(), limits::REPLICAS_PER_MODEL)?;
        count("fallbacks", self.fallbacks.len(), limits::FALLBACKS_PER_MODEL)?;
        let mut names = BTreeSet::from([name]);
        for alias in &self.aliases {
            check_name("aliases", alias)?;
            if !names.insert(alias) {
                return Err(Fault::new("aliases", format!("'{alias}' is named twice")));
            }
        }
        let mut seen = BTreeSet::new();
        for fallback in &self.fallbacks {
            check_name("fallbacks", fallback)?;
            if names.contains(fallback.as_str()) {
                return Err(Fault::new("fallbacks", format!("'{fallback}' is the model itself")));
            }
            if !seen.insert(fallback) {
                return Err(Fault::new("fallbacks", format!("'{fallback}' is named twice")));
            }
        }
        for replica in &self.replicas {
            if let Some(model) = &replica.model {
                check_name("replicas", model)?;
            }
            if replica.weight.is_some_and(|weight| !limits::WEIGHT.contains(&weight)) {
                let why = format!("the weight at '{}' must be from 1 to {}", replica.backend, limits::WEIGHT.end());
                return Err(Fault::new("replicas", why));
            }
        }
        if self.says_nothing() {
            return Err(Fault::new("replicas", SAYS_NOTHING));
        }
        if self.queue.is_some_and(|queue| queue > *limits::COUNT.end()) {
            return Err(Fault::new("queue", format!("must be from 0 to {}", limits::COUNT.end())));
        }
        self.timeouts.check().map_err(|why| Fault::new("timeouts", why))
    }

    fn says_nothing(&self) -> bool {
        let lists = self.aliases.is_empty() && self.replicas.is_empty() && self.fallbacks.is_empty();
        lists && self.queue.is_none() && self.timeouts == ModelTimeouts::default()
    }

    /// Every name under which it is asked for.
    pub fn names<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::once(name).chain(self.aliases.iter().map(String::as_str))
    }
}

fn check_name(field: &'static str, name: &str) -> Result<(), Fault> {
    let most = limits::MODEL_NAME_BYTES;
    if name.is_empty() || name.len() > most || name.trim() != name || name.chars().any(char::is_control) {
        let why = format!("a model's name has 1 to {most} bytes, no control characters and no space at its ends");
        return Err(Fault::new(field, why));
    }
    Ok(())
}

fn count(field: &'static str, found: usize, most: usize) -> Result<(), Fault> {
    if found > most { Err(Fault::new(field, format!("{found} are too many; there may be {most}"))) } else { Ok(()) }
}
