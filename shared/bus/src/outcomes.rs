//! What became of commands, readable by command id for thirty days.

use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use domain::{CommandId, CommandOutcome, Plane};
use std::sync::Arc;

/// Writes and reads the outcomes of one plane's commands.
#[derive(Clone)]
pub struct Outcomes {
    inner: Arc<Inner>,
    plane: Plane,
}

impl Bus {
    /// The outcomes of a plane.
    pub fn outcomes(&self, plane: &Plane) -> Outcomes {
        Outcomes { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl Outcomes {
    /// Records an outcome; the same one twice is one.
    pub async fn record(&self, id: &CommandId, outcome: &CommandOutcome) -> Result<(), BusError> {
        let what = "a command's outcome";
        let body = serde_json::to_vec(outcome).map_err(|error| BusError::corrupt(what, error))?;
        let subject = subjects::outcome(&self.plane, id.as_str());
        self.inner.publish_surely(what, &subject, HeaderMap::new(), &body.into()).await.map(|_| ())
    }

    /// The outcome of a command, once it has one.
    pub async fn find(&self, id: &CommandId) -> Result<Option<CommandOutcome>, BusError> {
        let subject = subjects::outcome(&self.plane, id.as_str());
        match self.inner.last(streams::OUTCOMES, &subject).await? {
            None => Ok(None),
            Some(stored) => serde_json::from_slice(&stored.payload)
                .map(Some)
                .map_err(|error| BusError::corrupt("a command's outcome", error)),
        }
    }
}
