//! API keys of model traffic with the scope `admin`: beside the gateway's tokens they may change backends and models.

use super::credentials::bearer;
use bus::Bus;
use domain::keys::{KeyRecord, KeyScope, hash_key};
use http::HeaderMap;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Names of those keys by their hashes; clones share them.
#[derive(Clone, Debug, Default)]
pub struct AdminKeys(Arc<RwLock<BTreeMap<String, String>>>);

impl AdminKeys {
    /// Knows exactly these keys, of whatever scope.
    pub fn know<'a>(&self, records: impl IntoIterator<Item = &'a KeyRecord>) {
        let is_admin = |record: &&KeyRecord| record.revoked_at.is_none() && record.scopes.contains(&KeyScope::Admin);
        let known = records.into_iter().filter(is_admin).map(|record| (record.hash.clone(), record.name.clone()));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    /// The name of the key that a request carries, as a bearer token or as `x-api-key`, if it is one of them.
    pub fn check_headers(&self, headers: &HeaderMap) -> Option<String> {
        let sent = bearer(headers).or_else(|| headers.get("x-api-key")?.to_str().ok())?;
        // Hashes tell nothing about keys, however long it takes to compare them.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash_key(sent)).cloned()
    }

    /// Takes over every change of the keys, for ever. The last known ones hold while the broker is away.
    pub async fn keep_following(&self, bus: &Bus) {
        bus.keys().keep_watching(|known| self.know(known.values())).await;
    }
}
