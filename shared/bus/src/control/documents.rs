//! What is stored of a job beside the log: its answer and its snapshot, each the last one written.

use super::{read, write};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use domain::control::{JobEnd, JobId, Payload};
use std::sync::Arc;

/// Writes and reads the documents of jobs.
#[derive(Clone)]
pub struct JobDocuments {
    inner: Arc<Inner>,
}

impl Bus {
    /// The documents of jobs.
    pub fn job_documents(&self) -> JobDocuments {
        JobDocuments { inner: self.inner.clone() }
    }
}

impl JobDocuments {
    /// Stores an attempt's answer.
    pub async fn store_end(&self, job: &JobId, end: &JobEnd) -> Result<(), BusError> {
        let what = "a job's result";
        let body = write(what, end)?;
        self.inner.publish_surely(what, &subjects::job_end(job), HeaderMap::new(), &body).await.map(|_| ())
    }

    /// The answer of the last attempt that gave one.
    pub async fn end(&self, job: &JobId) -> Result<Option<JobEnd>, BusError> {
        let found = self.inner.last(streams::JOBS, &subjects::job_end(job)).await?;
        found.map(|stored| read("a job's result", &stored.payload)).transpose()
    }

    /// Stores what the job would resume from.
    pub async fn store_snapshot(&self, job: &JobId, snapshot: &Payload) -> Result<(), BusError> {
        let what = "a job's snapshot";
        let body = write(what, snapshot)?;
        self.inner.publish_surely(what, &subjects::job_snapshot(job), HeaderMap::new(), &body).await.map(|_| ())
    }

    /// What the job would resume from.
    pub async fn snapshot(&self, job: &JobId) -> Result<Option<Payload>, BusError> {
        let found = self.inner.last(streams::JOBS, &subjects::job_snapshot(job)).await?;
        found.map(|stored| read("a job's snapshot", &stored.payload)).transpose()
    }

    /// Deletes everything of a job, its submission included.
    pub async fn forget(&self, job: &JobId) -> Result<(), BusError> {
        for (stream, subject) in
            [(streams::REQUESTS, subjects::job_request(job)), (streams::JOBS, subjects::job_any(job))]
        {
            self.inner.purge(stream, &subject, None).await?;
        }
        Ok(())
    }
}

impl Inner {
    /// Deletes what a stream holds of a subject, up to and without a sequence if one is given.
    pub(crate) async fn purge(&self, stream: &str, subject: &str, before: Option<u64>) -> Result<(), BusError> {
        let what = "deleting from a stream";
        let handle = self.js.get_stream_no_info(stream).await.map_err(|error| BusError::unavailable(what, error))?;
        let purge = handle.purge().filter(subject);
        let done = match before {
            None => purge.await,
            Some(sequence) => purge.sequence(sequence).await,
        };
        done.map(|_| ()).map_err(|error| BusError::unavailable(what, error))
    }
}
