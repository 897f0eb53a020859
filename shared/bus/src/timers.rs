//! Timers: messages that the broker puts into a run's inbox at their moment, also after a crash of everything.

use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use bytes::Bytes;
use domain::{Plane, RunId, Time};
use std::sync::Arc;

/// Arms and cancels the timers of one plane.
#[derive(Clone)]
pub struct Timers {
    inner: Arc<Inner>,
    plane: Plane,
}

impl Bus {
    /// The timers of a plane.
    pub fn timers(&self, plane: &Plane) -> Timers {
        Timers { inner: self.inner.clone(), plane: plane.clone() }
    }
}

impl Timers {
    /// Has `body` delivered to the run's inbox at `at` (the server looks about three times a second; a past moment
    /// fires at once). The timer's id must be new for each arm: a late second send then cannot disturb a newer one.
    pub async fn arm(&self, run: &RunId, timer: &str, at: Time, body: &Bytes) -> Result<(), BusError> {
        let shards = self.inner.layout.shards;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Schedule", format!("@at {}", at.rfc3339()));
        headers.insert("Nats-Schedule-Target", subjects::inbox(shards, &self.plane, run));
        let subject = subjects::timer(shards, &self.plane, run, timer);
        self.inner.publish_surely("a timer", &subject, headers, body).await.map(|_| ())
    }

    /// Takes a timer back. One that has fired already is left to the run, which knows that it does not wait for it.
    pub async fn cancel(&self, run: &RunId, timer: &str) -> Result<(), BusError> {
        let what = "cancelling a timer";
        let shards = self.inner.layout.shards;
        let name = streams::inbox_name(subjects::shard(&subjects::run_token(run), shards));
        let stream = self.inner.js.get_stream_no_info(name).await.map_err(|e| BusError::unavailable(what, e))?;
        let subject = subjects::timer(shards, &self.plane, run, timer);
        stream.purge().filter(subject).await.map_err(|error| BusError::unavailable(what, error))?;
        Ok(())
    }
}
