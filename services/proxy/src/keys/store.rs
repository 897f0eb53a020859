//! The keys that are known, by the hash of what clients send.

use super::bucket::Bucket;
use crate::config::{Config, KeyConfig};
use crate::error::ProxyError;
use crate::routing::{Guard, Ticket};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the hash is for; another use of the same key has another hash.
const CONTEXT: &str = "gantry proxy api key v1";

/// The hash under which a key is kept. Comparing hashes tells nothing about keys, however long it takes.
pub fn hash_key(key: &str) -> String {
    blake3::Hash::from_bytes(blake3::derive_key(CONTEXT, key.as_bytes())).to_hex().to_string()
}

/// A new key with 244 random bits, and its hash. The key is shown once and kept nowhere.
pub fn new_key() -> (SecretString, String) {
    let key = format!("gk_{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let hash = hash_key(&key);
    (key.into(), hash)
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Call models.
    Inference,
    /// See which there are.
    Models,
    /// Change the configuration.
    Admin,
}

/// All keys of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_hash: HashMap<String, Arc<Key>>,
}

/// One key and what it has used.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) config: KeyConfig,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    running: AtomicUsize,
    used: AtomicU64,
}

impl Keys {
    /// Builds them; what a key has used stays when its limits did not change.
    pub(crate) fn new(config: &Config, before: &Self) -> Result<Self, String> {
        let mut keys = Self::default();
        for secret in &config.api_keys {
            let hash = hash_key(secret.expose_secret());
            let name = format!("key-{}", hash.get(..8).unwrap_or_default());
            keys.add(KeyConfig { name, hash, ..KeyConfig::default() }, before)?;
        }
        for one in &config.keys {
            keys.add(one.clone(), before)?;
        }
        Ok(keys)
    }

    fn add(&mut self, config: KeyConfig, before: &Self) -> Result<(), String> {
        if blake3::Hash::from_hex(&config.hash).is_err() {
            return Err(format!(
                "key '{}': its hash is not 64 hexadecimal digits; `gantry keys hash` makes one",
                config.name
            ));
        }
        if let Some(word) = config.scopes.iter().find(|word| Scope::parse(word).is_none()) {
            return Err(format!("key '{}': '{word}' is none of inference, models, admin", config.name));
        }
        let hash = config.hash.to_ascii_lowercase();
        let known = before.by_hash.get(&hash).filter(|key| key.config == config).map(Arc::clone);
        let key = known.unwrap_or_else(|| Arc::new(Key::new(config)));
        self.by_hash.insert(hash, key);
        Ok(())
    }

    /// Whether there is none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// The key that a client sent.
    pub(crate) fn find(&self, sent: &str) -> Option<Arc<Key>> {
        self.by_hash.get(&hash_key(sent)).cloned()
    }
}

impl Scope {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "inference" => Some(Self::Inference),
            "models" => Some(Self::Models),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Inference => "call models",
            Self::Models => "list models",
            Self::Admin => "change the configuration",
        }
    }
}

impl Key {
    fn new(config: KeyConfig) -> Self {
        let bucket = |per_minute: Option<u32>| per_minute.map(|per_minute| Bucket::new(per_minute, per_minute));
        Self {
            requests: bucket(config.requests_per_minute),
            tokens: bucket(config.tokens_per_minute),
            running: AtomicUsize::new(0),
            used: AtomicU64::new(0),
            config,
        }
    }

    /// Whether it may do that.
    pub(crate) fn check_scope(&self, scope: Scope) -> Result<(), ProxyError> {
        let given = &self.config.scopes;
        let allowed = if given.is_empty() {
            scope != Scope::Admin
        } else {
            given.iter().filter_map(|word| Scope::parse(word)).any(|one| one == scope)
        };
        if allowed {
            return Ok(());
        }
        Err(ProxyError::Forbidden { key: self.config.name.clone(), what: scope.title().to_owned() })
    }

    /// Whether it may use that model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.config.models.is_empty() || self.config.models.iter().any(|one| one == model)
    }

    /// Takes one request out of its limits; the guard counts it as running.
    pub(crate) fn admit(self: &Arc<Self>, ticket: &Ticket, now: Instant) -> Result<Guard, ProxyError> {
        let limited =
            |what: &str, retry| ProxyError::RateLimited { what: format!("key '{}' {what}", self.config.name), retry };
        if self.config.token_budget.is_some_and(|budget| self.used.load(Ordering::Relaxed) >= budget) {
            return Err(limited("has used up its budget of tokens", Duration::from_secs(60)));
        }
        if let Some(tokens) = &self.tokens {
            tokens.check(now).map_err(|retry| limited("has used its tokens of this minute", retry))?;
        }
        let running = self.running.fetch_add(1, Ordering::Relaxed);
        let key = Arc::clone(self);
        let guard = ticket.guard(move || {
            key.running.fetch_sub(1, Ordering::Relaxed);
        });
        if self.config.concurrent.is_some_and(|most| running >= most) {
            return Err(limited("has as many requests running as it may", Duration::from_secs(1)));
        }
        if let Some(requests) = &self.requests {
            requests.take(now).map_err(|retry| limited("has sent its requests of this minute", retry))?;
        }
        Ok(guard)
    }

    /// Charges what a request used.
    pub(crate) fn charge(&self, tokens: u64) {
        self.used.fetch_add(tokens, Ordering::Relaxed);
        if let Some(bucket) = &self.tokens {
            bucket.charge(Instant::now(), tokens as f64);
        }
    }
}
