//! What is stored of a job beside the log: its answer and its snapshot, each the last one written.

use super::{read, write};
use crate::publish::{EXPECTED_LAST, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::HeaderMap;
use domain::control::{JobEnd, JobId, Payload};
use std::sync::Arc;
use std::time::Duration;

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
    /// Stores an attempt's answer. One of a later attempt is never replaced by one of an earlier, whoever comes last.
    pub async fn store_end(&self, job: &JobId, end: &JobEnd) -> Result<(), BusError> {
        let what = "a job's result";
        let (body, subject) = (write(what, end)?, subjects::job_end(job));
        // Most jobs have one attempt, and nothing is stored of them yet.
        let mut expected = 0;
        for _ in 0..5 {
            let mut headers = HeaderMap::new();
            headers.insert(EXPECTED_LAST, expected.to_string());
            match self.inner.publish(what, subject.clone(), headers, body.clone()).await {
                Ok(Published::Stored { .. }) => return Ok(()),
                Ok(Published::Fenced { .. }) => {}
                Ok(Published::Busy) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => return Err(error),
            }
            expected = match self.inner.last_at_leader(streams::JOBS, &subject).await? {
                None => 0,
                Some(stored) => {
                    let before: JobEnd = read(what, &stored.payload)?;
                    if before.attempt >= end.attempt {
                        return Ok(());
                    }
                    stored.sequence
                }
            };
        }
        Err(BusError::Unknown { what: what.to_owned() })
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
