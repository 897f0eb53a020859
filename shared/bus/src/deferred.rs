//! Model requests that became jobs: each job one message that is written anew under a fence, its bodies beside it.
//!
//! Every proxy follows all jobs, so whoever has a free place takes one, and whoever waits for one is told at once. A proxy
//! that has jobs in hand says on a plain subject that it lives; what a silent one had may be taken by others.

use crate::nodes::Tail;
use crate::publish::{EXPECTED_LAST, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::{HeaderMap, Subscriber};
use bytes::{Bytes, BytesMut};
use domain::deferred::{DeferredJob, StoredBody};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one part of a body: far below what the broker takes, so that one write holds up nobody for long.
const PART_BYTES: usize = 1024 * 1024;

/// The jobs. Cheap to clone.
#[derive(Clone)]
pub struct DeferredJobs {
    inner: Arc<Inner>,
}

/// Jobs as they change.
pub struct DeferredTail(Tail<DeferredJob>);

/// Names of proxies, each time one says that it lives.
pub struct DeferredHolders(Subscriber);

impl Bus {
    /// How often a proxy that has jobs in hand says that it lives.
    pub const HOLDER_HEARTBEAT: Duration = Duration::from_secs(2);
    /// What a proxy that was silent for this long had in hand may be taken.
    pub const HOLDER_PATIENCE: Duration = Duration::from_secs(10);

    /// Model requests that became jobs.
    pub fn deferred(&self) -> DeferredJobs {
        DeferredJobs { inner: self.inner.clone() }
    }
}

impl DeferredJobs {
    /// Writes a job if its last message is still that one (0: there is none); its new position, or none when somebody was
    /// faster. A job that has ended is forgotten after `keep`.
    pub async fn write(&self, job: &DeferredJob, last: u64, keep: Duration) -> Result<Option<u64>, BusError> {
        let (what, subject) = ("a deferred job", subjects::deferred_job(&job.id));
        let body: Bytes = serde_json::to_vec(job).map_err(|error| BusError::corrupt(what, error))?.into();
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, last.to_string());
        if job.status.is_end() {
            headers.insert("Nats-TTL", ttl(keep));
        }
        let mut pause = Duration::from_millis(10);
        let mut unknown = BusError::Unknown { what: what.to_owned() };
        let mut asked_before = false;
        for _ in 0..8 {
            match self.inner.publish(what, subject.clone(), headers.clone(), body.clone()).await {
                Ok(Published::Stored { sequence, .. }) => return Ok(Some(sequence)),
                // An earlier try whose answer was lost may be what the fence met.
                Ok(Published::Fenced { .. }) if asked_before => {
                    let stored = self.inner.last_at_leader(streams::DEFERRED, &subject).await?;
                    return Ok(stored.filter(|stored| stored.payload == body).map(|stored| stored.sequence));
                }
                Ok(Published::Fenced { .. }) => return Ok(None),
                Ok(Published::Busy) => {}
                Err(error) if error.is_transient() => {
                    asked_before = true;
                    unknown = error;
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Err(unknown)
    }

    /// A job as it stands, and its position.
    pub async fn read(&self, id: &str) -> Result<Option<(DeferredJob, u64)>, BusError> {
        let found = self.inner.last_at_leader(streams::DEFERRED, &subjects::deferred_job(id)).await?;
        let read = |stored: crate::batch::Stored| {
            let job = serde_json::from_slice(&stored.payload);
            job.map(|job| (job, stored.sequence)).map_err(|error| BusError::corrupt("a deferred job", error))
        };
        found.map(read).transpose()
    }

    /// Every job, then every change. A lost connection makes it begin again.
    pub fn follow(&self) -> DeferredTail {
        DeferredTail(Tail::new(self.inner.clone(), streams::DEFERRED, 1, true))
    }

    /// Stores bytes beside a job under a name that nothing else of it has; they are forgotten after `keep`.
    pub async fn store(&self, id: &str, name: &str, bytes: &Bytes, keep: Duration) -> Result<StoredBody, BusError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-TTL", ttl(keep));
        let mut parts = 0;
        for at in (0..bytes.len()).step_by(PART_BYTES) {
            let part = bytes.slice(at..bytes.len().min(at + PART_BYTES));
            let subject = subjects::deferred_body(id, name, parts);
            self.inner.publish_surely("the body of a deferred job", &subject, headers.clone(), &part).await?;
            parts += 1;
        }
        Ok(StoredBody { name: name.to_owned(), parts, bytes: bytes.len() as u64 })
    }

    /// What was stored so; none if some of it is gone.
    pub async fn body(&self, id: &str, body: &StoredBody) -> Result<Option<Bytes>, BusError> {
        let mut all = BytesMut::new();
        for part in 0..body.parts {
            let found =
                self.inner.last(streams::DEFERRED_BODIES, &subjects::deferred_body(id, &body.name, part)).await?;
            let Some(stored) = found else { return Ok(None) };
            all.extend_from_slice(&stored.payload);
        }
        Ok((all.len() as u64 == body.bytes).then(|| all.freeze()))
    }

    /// Forgets what was stored under a name.
    pub async fn drop_body(&self, id: &str, name: &str) -> Result<(), BusError> {
        self.inner.purge(streams::DEFERRED_BODIES, &subjects::deferred_bodies(id, name), None).await
    }

    /// Forgets a job and everything that was stored beside it.
    pub async fn forget(&self, id: &str) -> Result<(), BusError> {
        self.inner.purge(streams::DEFERRED, &subjects::deferred_job(id), None).await?;
        self.inner.purge(streams::DEFERRED_BODIES, &subjects::deferred_bodies(id, "*"), None).await
    }

    /// Says that this proxy lives. Not tried again: it is said again soon.
    pub async fn say_alive(&self, holder: &str) -> Result<(), BusError> {
        let said = self.inner.client.publish(subjects::DEFERRED_HOLDER, Bytes::from(holder.to_owned())).await;
        said.map_err(|error| BusError::unavailable("a sign of life", error))
    }

    /// Hears which proxies live.
    pub async fn holders(&self) -> Result<DeferredHolders, BusError> {
        let heard = self.inner.client.subscribe(subjects::DEFERRED_HOLDER).await;
        heard.map(DeferredHolders).map_err(|error| BusError::unavailable("signs of life", error))
    }
}

impl DeferredTail {
    /// The next change and its position. Waits for ever.
    pub async fn next(&mut self) -> (u64, DeferredJob) {
        self.0.next().await
    }
}

impl DeferredHolders {
    /// The next name; none once the connection was closed for good.
    pub async fn next(&mut self) -> Option<String> {
        self.0.next().await.map(|message| String::from_utf8_lossy(&message.payload).into_owned())
    }
}

/// The broker takes whole seconds and at least one.
fn ttl(keep: Duration) -> String {
    format!("{}s", keep.as_secs().max(1))
}
