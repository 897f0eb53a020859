//! The keys that are known, by the hash of what clients send.

use super::bucket::Bucket;
use super::lease::{Lease, Link};
use super::spent::{Spending, Spent};
use crate::config::{Config, KeyConfig};
use crate::error::ProxyError;
use crate::routing::{Guard, Ticket};
use domain::keys::{KeyLimits, KeyRecord, KeyScope, hash_key, key_digest};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The name of the key that services in the same process use.
const OWN: &str = "gantry";
/// Under which it is counted. Keys of a file and of the broker have other ids.
const OWN_ID: &str = "own:gantry";

/// A new key with 244 random bits, and its hash. The key is shown once and kept nowhere.
pub fn new_key() -> (SecretString, String) {
    let mut random = [0; 32];
    random[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    random[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    let key = domain::keys::key_of(random);
    let hash = hash_key(&key);
    (key.into(), hash)
}

/// What keys of one proxy share, whatever its configuration.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) spending: Spending,
    /// Where limits are shared with other proxies; none keeps them here.
    pub(crate) link: Option<Link>,
}

/// All keys of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_hash: HashMap<[u8; 32], Arc<Key>>,
    /// Whether a key is asked for. One that was revoked counts: nobody opens a door by locking the last guest out.
    closed: bool,
}

/// One key and what it may use here.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) config: KeyConfig,
    /// Under which it is counted; the same in every proxy.
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    /// Who is charged.
    pub(crate) tenant: Arc<str>,
    limits: KeyLimits,
    pub(super) requests: Option<Bucket>,
    pub(super) tokens: Option<Bucket>,
    running: Arc<AtomicUsize>,
    places: AtomicUsize,
    spent: Arc<Spent>,
    lease: Option<Lease>,
}

impl Keys {
    /// Builds them; what a key has used stays when its limits did not change.
    pub(crate) fn new(config: &Config, stored: &[KeyRecord], common: &Common, before: &Self) -> Result<Self, String> {
        let mut keys = Self::default();
        for secret in &config.api_keys {
            keys.add(of_secret(secret), common, before)?;
        }
        for one in &config.keys {
            keys.add(one.clone(), common, before)?;
        }
        for record in stored.iter().filter(|record| record.revoked_at.is_none()) {
            keys.add(of_record(record), common, before)?;
        }
        keys.closed = !keys.by_hash.is_empty() || !stored.is_empty();
        for secret in &config.own_keys {
            let own = KeyConfig { id: Some(OWN_ID.to_owned()), name: OWN.to_owned(), ..of_secret(secret) };
            keys.add(own, common, before)?;
        }
        Ok(keys)
    }

    fn add(&mut self, config: KeyConfig, common: &Common, before: &Self) -> Result<(), String> {
        let hash = blake3::Hash::from_hex(&config.hash).map_err(|_| {
            format!("key '{}': its hash is not 64 hexadecimal digits; `gantry key hash` makes one", config.name)
        })?;
        if let Some(word) = config.scopes.iter().find(|word| KeyScope::parse(word).is_none()) {
            return Err(format!("key '{}': '{word}' is none of inference, models, admin", config.name));
        }
        let hash = *hash.as_bytes();
        let known = before.by_hash.get(&hash);
        let same = known.filter(|key| key.config == config && key.is_shared_by(common)).map(Arc::clone);
        let running = known.map(|key| Arc::clone(&key.running)).unwrap_or_default();
        let key = same.unwrap_or_else(|| Arc::new(Key::new(config, common, running)));
        self.by_hash.insert(hash, key);
        Ok(())
    }

    /// Whether nobody needs a key.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed
    }

    /// The key that a client sent.
    pub(crate) fn find(&self, sent: &str) -> Option<Arc<Key>> {
        self.by_hash.get(&key_digest(sent)).cloned()
    }

    /// The key that is counted under that id.
    pub(crate) fn of_id(&self, id: &str) -> Option<Arc<Key>> {
        self.by_hash.values().find(|key| &*key.id == id).cloned()
    }

    /// Tells the shared counters what this proxy still holds.
    pub(crate) async fn upkeep(&self) {
        for key in self.by_hash.values() {
            if let Some(lease) = &key.lease {
                lease.upkeep(key).await;
            }
        }
    }
}

fn of_secret(secret: &SecretString) -> KeyConfig {
    let hash = hash_key(secret.expose_secret());
    let name = format!("key-{}", hash.get(..8).unwrap_or_default());
    KeyConfig { name, hash, ..KeyConfig::default() }
}

fn of_record(record: &KeyRecord) -> KeyConfig {
    let limits = &record.limits;
    KeyConfig {
        id: Some(record.id.clone()),
        name: record.name.clone(),
        hash: record.hash.clone(),
        tenant: record.tenant.clone(),
        scopes: record.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        models: record.models.clone(),
        requests_per_minute: limits.requests_per_minute,
        tokens_per_minute: limits.tokens_per_minute,
        concurrent: limits.concurrent.map(|count| count as usize),
        token_budget: limits.token_budget,
        weight: limits.weight,
        priority: limits.priority,
    }
}

fn title(scope: KeyScope) -> &'static str {
    match scope {
        KeyScope::Inference => "call models",
        KeyScope::Models => "list models",
        KeyScope::Admin => "change the configuration",
    }
}

impl Key {
    fn new(config: KeyConfig, common: &Common, running: Arc<AtomicUsize>) -> Self {
        let id = config.id.clone().unwrap_or_else(|| format!("file:{}", config.name));
        let limits = KeyLimits {
            requests_per_minute: config.requests_per_minute,
            tokens_per_minute: config.tokens_per_minute,
            concurrent: config.concurrent.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            token_budget: config.token_budget,
            ..KeyLimits::default()
        };
        let is_limited =
            limits.requests_per_minute.is_some() || limits.tokens_per_minute.is_some() || limits.concurrent.is_some();
        let lease = common.link.clone().filter(|_| is_limited).map(Lease::new);
        let bucket = |per_minute: Option<u32>| {
            per_minute.map(|limit| if lease.is_some() { Bucket::poured() } else { Bucket::new(limit, limit) })
        };
        let places = match (limits.concurrent, &lease) {
            (None, _) => usize::MAX,
            (Some(_), Some(_)) => 0,
            (Some(limit), None) => limit as usize,
        };
        Self {
            requests: bucket(limits.requests_per_minute),
            tokens: bucket(limits.tokens_per_minute),
            running,
            places: AtomicUsize::new(places),
            spent: common.spending.of(&id),
            id: id.into(),
            name: config.name.as_str().into(),
            tenant: config.tenant.as_ref().unwrap_or(&config.name).as_str().into(),
            limits,
            lease,
            config,
        }
    }

    /// Whether its limits are counted where that says.
    fn is_shared_by(&self, common: &Common) -> bool {
        !self.is_limited() || self.lease.is_some() == common.link.is_some()
    }

    fn is_limited(&self) -> bool {
        let limits = &self.limits;
        limits.requests_per_minute.is_some() || limits.tokens_per_minute.is_some() || limits.concurrent.is_some()
    }

    pub(super) fn limits(&self) -> &KeyLimits {
        &self.limits
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    pub(super) fn set_places(&self, places: u32) {
        if self.limits.concurrent.is_some() {
            self.places.store(places as usize, Ordering::Relaxed);
        }
    }

    /// Whether it is that of the services in the same process.
    pub(crate) fn is_own(&self) -> bool {
        self.config.id.as_deref() == Some(OWN_ID)
    }

    /// Whether it may do that.
    pub(crate) fn check_scope(&self, scope: KeyScope) -> Result<(), ProxyError> {
        let given = &self.config.scopes;
        let allowed = if given.is_empty() {
            scope != KeyScope::Admin
        } else {
            given.iter().filter_map(|word| KeyScope::parse(word)).any(|one| one == scope)
        };
        if allowed {
            return Ok(());
        }
        Err(ProxyError::Forbidden { key: self.config.name.clone(), what: title(scope).to_owned() })
    }

    /// Whether it may use that model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.config.models.is_empty() || self.config.models.iter().any(|one| one == model)
    }

    /// Takes one request out of its limits; the guard counts it as running. Where limits are shared and what this proxy
    /// has of them is used up, more is asked for once.
    pub(crate) async fn admit(self: &Arc<Self>, ticket: &Ticket) -> Result<Guard, ProxyError> {
        self.admit_counted(ticket, true).await
    }

    /// The same for a request that was taken out of its limits before.
    pub(crate) async fn admit_again(self: &Arc<Self>, ticket: &Ticket) -> Result<Guard, ProxyError> {
        self.admit_counted(ticket, false).await
    }

    async fn admit_counted(self: &Arc<Self>, ticket: &Ticket, counts: bool) -> Result<Guard, ProxyError> {
        if self.limits.token_budget.is_some_and(|budget| self.spent.total() >= budget) {
            return Err(ProxyError::BudgetSpent { key: self.config.name.clone() });
        }
        match (self.take(ticket, Instant::now(), counts), &self.lease) {
            (Err(_), Some(lease)) => {
                lease.refill(self).await;
                self.take(ticket, Instant::now(), counts)
            }
            (taken, _) => taken,
        }
    }

    fn limited(&self, what: &str, retry: Duration) -> ProxyError {
        ProxyError::RateLimited { what: format!("key '{}' {what}", self.config.name), retry }
    }

    fn take(self: &Arc<Self>, ticket: &Ticket, now: Instant, counts: bool) -> Result<Guard, ProxyError> {
        if let Some(tokens) = &self.tokens {
            tokens.check(now).map_err(|retry| self.limited("has used its tokens of this minute", retry))?;
        }
        let running = self.running.fetch_add(1, Ordering::Relaxed);
        let counted = Arc::clone(&self.running);
        let guard = ticket.guard(move || {
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if running >= self.places() {
            return Err(self.limited("has as many requests running as it may", Duration::from_secs(1)));
        }
        if let Some(requests) = self.requests.as_ref().filter(|_| counts) {
            requests.take(now).map_err(|retry| self.limited("has sent its requests of this minute", retry))?;
        }
        Ok(guard)
    }

    /// Charges what a request used.
    pub(crate) fn charge(&self, tokens: u64) {
        self.spent.charge(tokens);
        if let Some(bucket) = &self.tokens {
            bucket.charge(Instant::now(), tokens as f64);
        }
    }
}
