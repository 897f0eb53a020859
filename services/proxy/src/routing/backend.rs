//! One model server: its address, what is known of it now, and how many requests it carries.

use super::breaker::Breaker;
use super::permits::{Guard, Ticket};
use super::rest::Rest;
use super::route::Route;
use crate::backends::{self, Capability, DisconnectRule, Kind, OnDisconnect};
use crate::config::BackendConfig;
use crate::relay::wire::Idle;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// A model server that a configuration names.
#[derive(Debug)]
pub(crate) struct Backend {
    config: BackendConfig,
    name: Arc<str>,
    /// What is true of all servers of its kind.
    pub(crate) kind: &'static Kind,
    base: String,
    place: Place,
    pub(crate) idle: Arc<Idle>,
    authorization: Option<HeaderValue>,
    pub(crate) breaker: Breaker,
    on_disconnect: OnDisconnect,
    /// Whether it sleeps, if it can.
    pub(crate) rest: Option<Rest>,
    outstanding: AtomicUsize,
    seen: RwLock<Seen>,
}

/// Where it is.
#[derive(Debug)]
struct Place {
    origin: Uri,
    host: HeaderValue,
    /// The path of the API.
    prefix: String,
    /// The paths of every route, in the order of [`Route::ALL`].
    routes: Vec<Uri>,
}

/// What the last look at it found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Whether it is well; none before the first look.
    pub(crate) healthy: Option<bool>,
    /// Why it is not.
    pub(crate) reason: Option<String>,
    /// Its models as it lists them; none before it listed any.
    pub(crate) models: Option<Arc<Vec<Value>>>,
    /// When it was looked at, and how long the answer took.
    pub(crate) at: Option<Instant>,
    pub(crate) latency: Duration,
}

/// Where a model stands on a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ModelState {
    /// Answers at once.
    Loaded,
    /// Loads when it is asked.
    Loadable,
    /// Its backend does not answer.
    Unreachable,
}

impl Backend {
    /// Checks the configuration.
    pub(crate) fn new(config: BackendConfig) -> Result<Self, String> {
        let kind = backends::kind(&config.kind).ok_or_else(|| {
            let names: Vec<&str> = backends::ALL.iter().map(|kind| kind.name).collect();
            format!("kind '{}' is none of {}", config.kind, names.join(", "))
        })?;
        let authorization = match &config.api_key {
            Some(key) => Some(
                HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
                    .map(|mut value| {
                        value.set_sensitive(true);
                        value
                    })
                    .map_err(|_| "its key has characters that no header can carry".to_owned())?,
            ),
            None => None,
        };
        if config.sleep_after.is_some() && kind.sleep.is_none() {
            return Err(format!(
                "a server of kind '{}' cannot be put to sleep; leave sleep_after_s (GANTRY_PROXY_SLEEP_AFTER_S) out",
                kind.name
            ));
        }
        let rest = kind.sleep.map(|calls| Rest::new(calls, config.sleep_after));
        let on_disconnect = on_disconnect(kind, config.on_disconnect)?;
        let base = domain::models::base_url(&config.base_url)?;
        Ok(Self {
            name: config.name.as_str().into(),
            config,
            kind,
            place: Place::of(&base)?,
            base,
            idle: Arc::default(),
            authorization,
            breaker: Breaker::default(),
            on_disconnect,
            rest,
            outstanding: AtomicUsize::new(0),
            seen: RwLock::default(),
        })
    }

    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// The same, shared.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Its URL, as it is used.
    pub(crate) fn base_url(&self) -> &str {
        &self.base
    }

    /// Whether a new configuration is the same server, so that what is known of it still holds.
    pub(crate) fn is(&self, config: &BackendConfig) -> bool {
        let key = |config: &BackendConfig| config.api_key.as_ref().map(|key| key.expose_secret().to_owned());
        self.config.name == config.name
            && self.config.kind == config.kind
            && self.config.base_url == config.base_url
            && self.config.concurrency == config.concurrency
            && self.config.capabilities == config.capabilities
            && self.config.sleep_after == config.sleep_after
            && self.config.on_disconnect == config.on_disconnect
            && key(&self.config) == key(config)
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &Uri {
        &self.place.origin
    }

    /// What it is called in `Host`.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.place.host
    }

    /// The path that serves that route there.
    pub(crate) fn route(&self, route: Route) -> &Uri {
        &self.place.routes[route as usize]
    }

    /// A path of the API, such as `/models`.
    pub(crate) fn api(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.place.prefix).parse().ok()
    }

    /// A path beside the API, such as `/health`.
    pub(crate) fn beside_api(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.place.prefix.strip_suffix("/v1").unwrap_or(&self.place.prefix)).parse().ok()
    }

    /// What it wants as `Authorization`.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether it can do that, by its configuration or else by its kind.
    pub(crate) fn can(&self, what: Capability) -> bool {
        self.config.capabilities.as_ref().map_or_else(|| self.kind.can(what), |list| list.contains(&what))
    }

    /// What to do with a request there when its client has gone.
    pub(crate) fn on_disconnect(&self) -> OnDisconnect {
        self.on_disconnect
    }

    /// Requests it takes at once.
    pub(crate) fn concurrency(&self) -> Option<usize> {
        self.config.concurrency
    }

    /// Requests it carries now.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::SeqCst)
    }

    /// Counts a request of that ticket until the guard goes.
    pub(crate) fn carry(self: &Arc<Self>, ticket: &Ticket) -> Guard {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        let backend = Arc::clone(self);
        ticket.guard(move || {
            if let Some(rest) = &backend.rest {
                rest.was_used();
            }
            backend.outstanding.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// What the last look found.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it answered the last look; none before the first.
    pub(crate) fn is_healthy(&self) -> Option<bool> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).healthy
    }

    /// Notes a look; a list that could not be had leaves the last one standing.
    pub(crate) fn note(&self, mut seen: Seen) {
        let mut last = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.models.is_none() {
            seen.models = last.models.take();
        }
        *last = seen;
    }

    /// Whether its list names that model; none if it has never listed any.
    pub(crate) fn lists(&self, model: &str) -> Option<bool> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let models = seen.models.as_ref()?;
        Some(models.iter().any(|entry| entry["id"] == model))
    }

    /// Where a model that it lists stands.
    pub(crate) fn state_of(&self, entry: &Value) -> ModelState {
        if self.is_healthy() == Some(false) {
            return ModelState::Unreachable;
        }
        if self.rest.as_ref().is_some_and(Rest::is_asleep) {
            return ModelState::Loadable;
        }
        let told = entry["status"]["value"].as_str().or_else(|| entry["state"].as_str());
        match told {
            Some("loaded") => ModelState::Loaded,
            Some(_) => ModelState::Loadable,
            None if matches!(self.kind.name, "ollama" | "lmstudio" | "localai") => ModelState::Loadable,
            None => ModelState::Loaded,
        }
    }
}

impl ModelState {
    /// The word clients see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Loadable => "loadable",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Place {
    /// The parts of a base URL in its normal form.
    fn of(base: &str) -> Result<Self, String> {
        let refuse = |error: &dyn std::error::Error| format!("'{base}' cannot be used: {error}");
        let uri: Uri = base.parse().map_err(|error| refuse(&error))?;
        let prefix = uri.path().to_owned();
        let routes = Route::ALL.map(|route| format!("{prefix}{}", route.upstream_path()).parse());
        let routes = routes.into_iter().collect::<Result<Vec<Uri>, _>>().map_err(|error| refuse(&error))?;
        let port = uri.port_u16().filter(|port| *port != if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let name = uri.host().unwrap_or_default();
        let host = port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let host = HeaderValue::try_from(host).map_err(|error| refuse(&error))?;
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Ok(Self { origin: Uri::from_parts(parts).map_err(|error| refuse(&error))?, host, prefix, routes })
    }
}

/// What its configuration says, or else its kind.
fn on_disconnect(kind: &Kind, said: Option<DisconnectRule>) -> Result<OnDisconnect, String> {
    match (said, kind.on_disconnect) {
        (None, rule) | (Some(DisconnectRule::Abort), rule @ OnDisconnect::Abort(_)) => Ok(rule),
        (Some(DisconnectRule::Propagate), _) => Ok(OnDisconnect::Propagate),
        (Some(DisconnectRule::Drain), _) => Ok(OnDisconnect::Drain),
        (Some(DisconnectRule::Abort), OnDisconnect::Propagate | OnDisconnect::Drain) => Err(format!(
            "a server of kind '{}' cannot be told to abort a request; on_disconnect (GANTRY_PROXY_ON_DISCONNECT) may be \
             propagate or drain",
            kind.name
        )),
    }
}
