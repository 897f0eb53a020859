//! The connection to the engine, and what was last seen there.

use super::inspect;
use crate::error::EngineError;
use bollard::{API_DEFAULT_VERSION, Docker};
use domain::nodes::{ContainerReport, EngineReport};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A question is answered within this time or counts as not answered.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The client's own limit lies above every deadline of ours, which are shorter and name what they cut off.
const CLIENT_LIMIT_S: u64 = 24 * 3600;

/// The engine of this host.
pub(crate) struct Engine {
    address: String,
    client: Mutex<Option<Docker>>,
    seen: watch::Sender<Seen>,
}

/// What was last seen of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its version, or why it does not answer.
    pub(crate) engine: Result<String, String>,
    /// Containers by id.
    pub(crate) containers: BTreeMap<String, ContainerReport>,
}

impl Seen {
    /// The name of a container.
    pub(crate) fn name_of(&self, id: &str) -> Option<String> {
        self.containers.get(id).map(|container| container.name.clone())
    }

    /// As a report.
    pub(crate) fn report(&self) -> EngineReport {
        match &self.engine {
            Err(because) => EngineReport::Down { because: because.clone() },
            Ok(version) => {
                let mut containers: Vec<ContainerReport> = self.containers.values().cloned().collect();
                containers.sort_by(|a, b| a.name.cmp(&b.name));
                EngineReport::Up { version: version.clone(), containers }
            }
        }
    }
}

impl Engine {
    /// The engine at `unix:///path` or `http://host:port`. Nothing is asked yet.
    pub(crate) fn new(address: &str) -> Self {
        let engine = Err("it has not been asked yet".to_owned());
        Self {
            address: address.to_owned(),
            client: Mutex::new(None),
            seen: watch::Sender::new(Seen { engine, containers: BTreeMap::new() }),
        }
    }

    /// Tells of every change in what is seen.
    pub(crate) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// The client. There is none as long as the engine's socket does not exist.
    pub(super) fn client(&self) -> Result<Docker, EngineError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = match self.address.strip_prefix("unix://") {
            Some(path) => Docker::connect_with_unix(path, CLIENT_LIMIT_S, API_DEFAULT_VERSION),
            None => Docker::connect_with_http(&self.address, CLIENT_LIMIT_S, API_DEFAULT_VERSION),
        };
        let made = made.map_err(|error| EngineError::of("connecting to the container engine", error))?;
        *client = Some(made.clone());
        Ok(made)
    }

    /// Asks the engine which it is and speaks its version of the interface from then on: it may be another after a
    /// restart.
    pub(super) async fn greet(&self) -> Result<String, EngineError> {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let client = self.client()?;
        let what = "asking the container engine for its version";
        let client = within(what, ANSWER_WITHIN, client.negotiate_version()).await?;
        let version = within(what, ANSWER_WITHIN, client.version()).await?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(version.version.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// How a container is now, by name or id; none if there is none. What is seen follows.
    pub(crate) async fn inspect(&self, name: &str) -> Result<Option<ContainerReport>, EngineError> {
        let client = self.client()?;
        let found = match within("inspecting a container", ANSWER_WITHIN, client.inspect_container(name, None)).await {
            Ok(found) => Some(inspect::report(found)),
            Err(EngineError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        self.see(name, found.clone());
        Ok(found)
    }

    fn see(&self, name: &str, found: Option<ContainerReport>) {
        self.seen.send_if_modified(|seen| match found {
            Some(found) => seen.containers.insert(found.id.clone(), found.clone()) != Some(found),
            None => {
                let before = seen.containers.len();
                seen.containers.retain(|id, known| id != name && known.name != name);
                seen.containers.len() != before
            }
        });
    }

    /// All containers that there are, asked anew; returns what was seen before.
    pub(super) async fn list(&self, version: String) -> Result<Seen, EngineError> {
        let client = self.client()?;
        let options = bollard::query_parameters::ListContainersOptions { all: true, ..Default::default() };
        let listed = within("listing containers", ANSWER_WITHIN, client.list_containers(Some(options))).await?;
        let mut containers = BTreeMap::new();
        for id in listed.into_iter().filter_map(|container| container.id) {
            match within("inspecting a container", ANSWER_WITHIN, client.inspect_container(&id, None)).await {
                Ok(found) => {
                    containers.insert(id, inspect::report(found));
                }
                Err(EngineError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.seen.send_replace(Seen { engine: Ok(version), containers }))
    }

    /// The engine does not answer. What was seen of containers is kept, to be compared when it is back.
    pub(super) fn is_down(&self, because: &EngineError) {
        self.seen.send_if_modified(|seen| {
            let because = Err(because.to_string());
            let changed = seen.engine != because;
            seen.engine = because;
            changed
        });
    }

    /// Waits until the engine answers. Whoever waits sets the deadline.
    pub(crate) async fn up(&self) {
        let mut seen = self.watch();
        if seen.wait_for(|seen| seen.engine.is_ok()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Asks something with a deadline.
pub(super) async fn within<T>(
    what: &'static str,
    limit: Duration,
    asked: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(EngineError::of(what, error)),
        Err(_) => Err(EngineError::TimedOut { what }),
    }
}
