//! Finds out who calls.

use super::nearby;
use crate::Proxy;
use crate::error::ProxyError;
use crate::keys::Key;
use crate::proxy::Setup;
use crate::relay::account::Who;
use crate::routing::Rank;
use domain::keys::KeyScope;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whose key a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// The key's name.
    pub name: String,
    /// Whether it has the scope `admin`.
    pub is_admin: bool,
}

impl Proxy {
    /// Whose key a request carries, if it is one that this proxy knows: of the environment, of its file or of the broker.
    pub fn key_holder(&self, headers: &HeaderMap) -> Option<KeyHolder> {
        let key = self.setup().keys.find(sent_key(headers)?)?;
        Some(KeyHolder { name: key.config.name.clone(), is_admin: key.check_scope(KeyScope::Admin).is_ok() })
    }
}

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
        setup: &Setup,
        scope: KeyScope,
    ) -> Result<Self, ProxyError> {
        let keys = &setup.keys;
        // A key that was sent is checked also where none is needed: then it is counted under its name.
        if keys.is_open() && sent_key(headers).and_then(|sent| keys.find(sent)).is_none() {
            let address = peer.map(|peer| peer.ip().to_canonical());
            nearby::check(headers, address, &setup.config.cors_origins)?;
            let tenant = address.map(|address| address.to_string().into()).unwrap_or_default();
            return Ok(Self { key: None, tenant });
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

    /// Under which it is held to the limit of callers without one of their own; none for those that have one, and for the
    /// services of this process.
    pub(crate) fn bucket(&self) -> Option<&str> {
        match &self.key {
            Some(key) if key.config.requests_per_minute.is_some() || key.is_own() => None,
            Some(key) => Some(&key.id),
            None => Some(&self.tenant),
        }
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

    /// The error with only those names of models that it may use.
    pub(crate) fn told_of(&self, mut error: ProxyError) -> ProxyError {
        if let ProxyError::UnknownModel { known, .. }
        | ProxyError::PerhapsElsewhere { known, .. }
        | ProxyError::NoModel { known } = &mut error
        {
            known.retain(|name| self.may_use(name));
        }
        error
    }

    /// Whether it may use that model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.key.as_ref().is_none_or(|key| key.may_use(model))
    }
}

/// The key that a request carries, as a bearer token or as `x-api-key`.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| headers.get("x-api-key")?.to_str().ok()).filter(|key| !key.is_empty())
}
