//! Records for whoever listens on the bus: plain messages, sent after the records are stored, kept nowhere.

use crate::{Bus, Inner, subjects};
use bytes::Bytes;
use domain::{Plane, RunId};
use std::sync::Arc;

/// The subjects of all taps: what a read-only listener may subscribe to.
pub const TAPS: &str = "gantry.run.>";

/// Publishes stored records to plain subscribers.
#[derive(Clone)]
pub struct Tap {
    inner: Arc<Inner>,
}

impl Bus {
    /// The tap.
    pub fn tap(&self) -> Tap {
        Tap { inner: self.inner.clone() }
    }
}

impl Tap {
    /// Sends one step's records. Nobody is waited for: a subscriber that is slow or absent costs a run nothing.
    pub async fn publish(&self, plane: &Plane, run: &RunId, body: Bytes) {
        if let Err(error) = self.inner.client.publish(subjects::tap(plane, run), body).await {
            tracing::debug!(%error, %run, "records were not sent to subscribers");
        }
    }
}
