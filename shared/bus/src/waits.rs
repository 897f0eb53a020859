//! Which runs wait for which event. An entry may be stale, never missing: it is written before the ledger shows the
//! wait, and a run that gets an event it does not wait for drops it.

use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use domain::{Plane, RunId};
use std::sync::Arc;

/// The index of one plane.
#[derive(Clone)]
pub struct Waits {
    inner: Arc<Inner>,
    plane: Plane,
}

impl Bus {
    /// The index of a plane.
    pub fn waits(&self, plane: &Plane) -> Waits {
        Waits { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl Waits {
    /// Says that a run is about to wait on a key.
    pub async fn register(&self, wait_key: &str, run: &RunId) -> Result<(), BusError> {
        let subject = subjects::wait(&self.plane, wait_key, run);
        let key = wait_key.to_owned().into();
        self.inner.publish_surely("an event wait", &subject, HeaderMap::new(), &key).await.map(|_| ())
    }

    /// Says that it does not any more.
    pub async fn forget(&self, wait_key: &str, run: &RunId) -> Result<(), BusError> {
        let what = "forgetting an event wait";
        let stream =
            self.inner.js.get_stream_no_info(streams::WAITS).await.map_err(|e| BusError::unavailable(what, e))?;
        let subject = subjects::wait(&self.plane, wait_key, run);
        stream.purge().filter(subject).await.map_err(|error| BusError::unavailable(what, error))?;
        Ok(())
    }

    /// Runs that may be waiting on a key, as the leader knows it.
    pub async fn find(&self, wait_key: &str) -> Result<Vec<RunId>, BusError> {
        let what = "looking for event waits";
        let filter = subjects::wait_filter(&self.plane, wait_key);
        let info: serde_json::Value = self
            .inner
            .js
            .request(format!("STREAM.INFO.{}", streams::WAITS), &serde_json::json!({ "subjects_filter": filter }))
            .await
            .map_err(|error| BusError::unavailable(what, error))?;
        let mut runs: Vec<RunId> = info
            .pointer("/state/subjects")
            .and_then(serde_json::Value::as_object)
            .map(|found| found.keys().filter_map(|subject| subject.rsplit('.').next()).map(RunId::from).collect())
            .unwrap_or_default();
        runs.sort();
        Ok(runs)
    }
}
