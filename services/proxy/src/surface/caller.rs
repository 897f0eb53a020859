//! Finds out who calls.

use crate::error::ProxyError;
use crate::keys::{Key, Keys};
use crate::relay::account::Who;
use crate::routing::Rank;
use domain::keys::KeyScope;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whoever sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) key: Option<Arc<Key>>,
    tenant: Arc<str>,
}

impl Caller {
    /// Checks the key; without any key configured, only callers on this machine are let in.
    pub(crate) fn of(
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        keys: &Keys,
        scope: KeyScope,
    ) -> Result<Self, ProxyError> {
        let address = peer.map(|peer| peer.ip().to_canonical());
        // A key that was sent is checked also where none is needed: then it is counted under its name.
        if keys.is_open() && sent_key(headers).and_then(|sent| keys.find(sent)).is_none() {
            if address.is_some_and(|address| address.is_loopback()) {
                let tenant = address.map(|address| address.to_string().into()).unwrap_or_default();
                return Ok(Self { key: None, tenant });
            }
            return Err(ProxyError::LoopbackOnly);
        }
        let sent = sent_key(headers).ok_or(ProxyError::NoKey)?;
        let key = keys.find(sent).ok_or(ProxyError::WrongKey)?;
        key.check_scope(scope)?;
        Ok(Self { tenant: Arc::clone(&key.tenant), key: Some(key) })
    }

    /// The key's name.
    pub(crate) fn key_name(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.config.name.as_str())
    }

    /// Who is served, by which proxy.
    pub(crate) fn who(&self, proxy: Arc<str>) -> Who {
        let key = self.key.as_ref();
        Who {
            proxy,
            key: key.map(|key| Arc::clone(&key.name)),
            key_id: key.map(|key| Arc::clone(&key.id)),
            tenant: Arc::clone(&self.tenant),
        }
    }

    /// Who is charged and stands in queues.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Where it stands in queues.
    pub(crate) fn rank(&self) -> Rank {
        let config = self.key.as_ref().map(|key| &key.config);
        Rank {
            tenant: Arc::clone(&self.tenant),
            weight: config.and_then(|config| config.weight).unwrap_or(1),
            priority: config.map_or(0, |config| config.priority),
        }
    }

    /// Whether it may use that model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.key.as_ref().is_none_or(|key| key.may_use(model))
    }
}

fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| headers.get("x-api-key")?.to_str().ok()).filter(|key| !key.is_empty())
}
