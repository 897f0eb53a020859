//! The decisions of the security layer on one request: everything before its body is looked at.

use super::answer::Refusal;
use super::families::{admin_class, takes_admin_keys};
use super::{Lockouts, Origins, PREFIX};
use crate::auth::{Credentials, StoredKeys};
use crate::config::SecurityConfig;
use crate::principal::Principal;
use http::{HeaderMap, Method, header, request::Parts};
use std::net::IpAddr;
use std::time::Instant;

/// What was found out about a request.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Whether the request needed a credential.
    pub auth_required: bool,
    /// Who asks, once known.
    pub principal: Option<Principal>,
}

/// The settings and memory that the decisions need.
#[derive(Debug)]
pub struct Guard {
    pub(super) config: SecurityConfig,
    credentials: Credentials,
    stored_keys: StoredKeys,
    origins: Origins,
    lockouts: Lockouts,
}

impl Guard {
    /// A guard over these settings and tokens.
    pub fn new(config: SecurityConfig, credentials: Credentials) -> Self {
        let origins = Origins::new(&config.allowed_origins);
        let lockouts = Lockouts::new(config.lockout);
        Self { config, credentials, stored_keys: StoredKeys::default(), origins, lockouts }
    }

    /// The same, which lets those of these keys that may do anything change backends and models.
    #[must_use]
    pub fn with_stored_keys(self, stored_keys: StoredKeys) -> Self {
        Self { stored_keys, ..self }
    }

    /// The address that counts as the client's.
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let forwarded = headers.get("x-forwarded-for").filter(|_| self.config.trust_proxy);
        let first = forwarded.and_then(|value| value.to_str().ok()).and_then(|text| text.split(',').next());
        first.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)
    }

    /// Checks 1 to 7 in their fixed order: switched off, origin, lockout, OPTIONS, authentication, CSRF, admin.
    pub fn decide(&self, parts: &Parts, client: IpAddr, peer: IpAddr, verdict: &mut Verdict) -> Result<(), Refusal> {
        if !self.config.enabled {
            verdict.principal = Some(Principal::open());
            return Ok(());
        }
        self.check_origin(&parts.headers)?;
        if let Some(rest) = self.lockouts.locked(client, Instant::now()) {
            return Err(Refusal::lockout(rest));
        }
        if parts.method == Method::OPTIONS {
            verdict.principal = Some(Principal::unprotected());
            return Ok(());
        }
        let write = is_write(&parts.method);
        let principal = self.authenticate(parts, write, client, peer, verdict)?;
        verdict.principal = Some(principal.clone());
        check_csrf(&principal, write)?;
        let rest = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        match admin_class(rest, write) {
            Some(class) if !principal.admin => Err(Refusal::admin(class, write)),
            Some(_) | None => Ok(()),
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let allowed = origin.to_str().is_ok_and(|origin| self.origins.allow(origin));
        if allowed { Ok(()) } else { Err(Refusal::origin()) }
    }

    /// The name of a key that may do this, where keys may do anything.
    fn admin_key(&self, parts: &Parts) -> Option<String> {
        let rest = parts.uri.path().strip_prefix(PREFIX)?;
        let key = takes_admin_keys(rest).then(|| self.stored_keys.check_headers(&parts.headers))??;
        key.is_admin.then_some(key.name)
    }

    fn authenticate(
        &self,
        parts: &Parts,
        write: bool,
        client: IpAddr,
        peer: IpAddr,
        verdict: &mut Verdict,
    ) -> Result<Principal, Refusal> {
        // With a proxy in front, every peer is local: then the client is what it says.
        let local = peer.is_loopback() && client.is_loopback();
        let waived = !write && self.config.dev_read_no_auth && local;
        let protected = if write { self.config.protect_write } else { self.config.protect_read };
        verdict.auth_required = protected && !waived;
        if let Some(fingerprint) = self.credentials.check_headers(&parts.headers) {
            self.lockouts.succeeded(client);
            return Ok(Principal::shared_token(fingerprint));
        }
        if let Some(name) = self.admin_key(parts) {
            self.lockouts.succeeded(client);
            return Ok(Principal::admin_key(name));
        }
        if waived {
            return Ok(Principal::loopback_reader());
        }
        if !protected {
            return Ok(Principal::unprotected());
        }
        if self.credentials.is_empty() {
            return Err(Refusal::no_token());
        }
        // Browser sessions belong to user accounts. Without those, a session cookie or header proves nothing and
        // is answered like a missing token.
        Err(self.lockouts.failed(client, Instant::now()).map_or_else(Refusal::unauthorized, Refusal::lockout))
    }
}

/// Whether a method changes something.
pub fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Only a principal that came by a browser session must show a CSRF token, and no such principal exists yet.
fn check_csrf(principal: &Principal, write: bool) -> Result<(), Refusal> {
    if write && principal.source == "browser-session" { Err(Refusal::csrf()) } else { Ok(()) }
}
