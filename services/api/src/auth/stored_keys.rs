//! API keys of model traffic that were made over the API: beside the gateway's tokens they open what they are told to.

use super::credentials::bearer;
use bus::Bus;
use domain::keys::{KeyRecord, KeyScope, hash_key};
use http::HeaderMap;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Those keys by their hashes, revoked ones left out; clones share them.
#[derive(Clone, Debug, Default)]
pub struct StoredKeys(Arc<RwLock<BTreeMap<String, StoredKey>>>);

/// Who sends a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key's name.
    pub name: String,
    /// Whether it has the scope `admin`.
    pub is_admin: bool,
}

impl StoredKeys {
    /// Knows exactly these keys.
    pub fn know<'a>(&self, records: impl IntoIterator<Item = &'a KeyRecord>) {
        let known = records.into_iter().filter(|record| record.revoked_at.is_none()).map(|record| {
            let is_admin = record.scopes.contains(&KeyScope::Admin);
            (record.hash.clone(), StoredKey { name: record.name.clone(), is_admin })
        });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    /// The key that a request carries, as a bearer token or as `x-api-key`, if it is one of them.
    pub fn check_headers(&self, headers: &HeaderMap) -> Option<StoredKey> {
        let sent = bearer(headers).or_else(|| headers.get("x-api-key")?.to_str().ok())?;
        // Hashes tell nothing about keys, however long it takes to compare them.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash_key(sent)).cloned()
    }

    /// Takes over every change of the keys, for ever, and says so each time. The last known ones hold while the broker is
    /// away.
    pub async fn keep_following(&self, bus: &Bus, told: impl Fn()) {
        let hear = |known: &BTreeMap<String, KeyRecord>| {
            self.know(known.values());
            told();
        };
        bus.keys().keep_watching(hear).await;
    }
}
