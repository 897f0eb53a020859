//! What is installed, kept current by watching the catalogue.

use super::{Bundles, Deprecation, Installed};
use bus::{BusError, CatalogEntry, CatalogUpdate};
use domain::{BundleRef, WorkflowId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub(super) const BUNDLE: &str = "bundle";
pub(super) const DEPRECATION: &str = "deprecation";

/// Everything that is installed, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    bundles: BTreeMap<(String, String), Arc<Installed>>,
    deprecations: BTreeMap<(String, String), Arc<Deprecation>>,
    tokens: HashMap<String, (String, String)>,
    revision: u64,
    caught_up: bool,
}

impl Snapshot {
    /// Every bundle, by id and then version.
    pub fn bundles(&self) -> impl Iterator<Item = &Arc<Installed>> {
        self.bundles.values()
    }

    /// One bundle.
    pub fn bundle(&self, id: &str, version: &str) -> Option<&Arc<Installed>> {
        self.bundles.get(&(id.to_owned(), version.to_owned()))
    }

    /// All versions of a bundle.
    pub fn versions<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<Installed>> {
        self.bundles.values().filter(move |bundle| bundle.reference.id == id)
    }

    /// The version that is taken when a client names none.
    pub fn latest(&self, id: &str) -> Option<&Arc<Installed>> {
        let versions: Vec<(&str, &str)> = self
            .versions(id)
            .map(|bundle| (bundle.reference.version.as_str(), bundle.manifest.created_at.as_str()))
            .collect();
        self.bundle(id, flow::bundle::latest(versions)?)
    }

    /// The bundle that holds a workflow `bundle@version:flow`, when both are installed.
    pub fn holder(&self, workflow: &WorkflowId) -> Option<&Arc<Installed>> {
        let (reference, flow) = workflow.as_str().split_once(':')?;
        let (id, version) = reference.split_once('@')?;
        self.bundle(id, version).filter(|bundle| bundle.manifest.flows.iter().any(|(name, _)| name == flow))
    }

    /// The mark on an entrypoint, or on its whole bundle.
    pub fn deprecation(&self, bundle_id: &str, flow_id: &str) -> Option<&Arc<Deprecation>> {
        [flow_id, "*"].iter().find_map(|flow| self.deprecations.get(&(bundle_id.to_owned(), (*flow).to_owned())))
    }

    /// Whether everything that was there when this process began is in it.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    fn hear(&mut self, update: CatalogUpdate) {
        match update {
            CatalogUpdate::CaughtUp => self.caught_up = true,
            CatalogUpdate::Changed(entry) => self.change(&entry),
        }
    }

    fn change(&mut self, entry: &CatalogEntry) {
        self.revision = self.revision.max(entry.revision);
        let token = format!("{}.{}", entry.group, entry.token);
        let old = self.tokens.remove(&token);
        match (entry.group.as_str(), &entry.value) {
            (BUNDLE, Some(value)) => match serde_json::from_slice::<Installed>(value) {
                Ok(bundle) => {
                    let key = (bundle.reference.id.clone(), bundle.reference.version.clone());
                    self.tokens.insert(token, key.clone());
                    self.bundles.insert(key, Arc::new(bundle));
                }
                Err(error) => tracing::error!(%error, "a catalogue entry of a bundle cannot be read"),
            },
            (DEPRECATION, Some(value)) => match serde_json::from_slice::<Deprecation>(value) {
                Ok(mark) => {
                    let key = (mark.bundle_id.clone(), mark.flow_id.clone());
                    self.tokens.insert(token, key.clone());
                    self.deprecations.insert(key, Arc::new(mark));
                }
                Err(error) => tracing::error!(%error, "a catalogue entry of a deprecation cannot be read"),
            },
            (BUNDLE, None) => {
                old.and_then(|key| self.bundles.remove(&key));
            }
            (DEPRECATION, None) => {
                old.and_then(|key| self.deprecations.remove(&key));
            }
            _ => {}
        }
    }
}

impl Bundles {
    /// Keeps the snapshot current, for ever. Run it as a task.
    pub async fn keep_watching(&self) {
        loop {
            // A removal that happened while nobody watched leaves no trace, so each watch begins afresh.
            let mut next = Snapshot::default();
            let watched = self.catalog.watch(|update| {
                next.hear(update);
                if next.caught_up {
                    self.current.send_replace(Arc::new(next.clone()));
                }
            });
            if let Err(error) = watched.await {
                tracing::debug!(%error, "the catalogue is watched anew");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until everything that was installed when this process began is known.
    pub async fn ready(&self) {
        let _ = self.current.subscribe().wait_for(|snapshot| snapshot.is_caught_up()).await;
    }

    /// Waits (a few seconds at most) until a change of this process is in the snapshot.
    pub(super) async fn seen(&self, revision: u64) -> Result<(), BusError> {
        let mut current = self.current.subscribe();
        let seen = current.wait_for(|snapshot| snapshot.revision >= revision);
        match tokio::time::timeout(Duration::from_secs(5), seen).await {
            Ok(_) => Ok(()),
            Err(_) => Err(BusError::Unknown { what: "a change of the catalogue".to_owned() }),
        }
    }

    /// The installed bundle of a reference that may lack its version.
    pub fn find(&self, id: &str, version: Option<&str>) -> Option<Arc<Installed>> {
        let snapshot = self.snapshot();
        match version {
            Some(version) => snapshot.bundle(id, version).cloned(),
            None => snapshot.latest(id).cloned(),
        }
    }

    /// Whether this exact bundle is installed.
    pub fn contains(&self, reference: &BundleRef) -> bool {
        self.snapshot().bundle(&reference.id, &reference.version).is_some()
    }
}
