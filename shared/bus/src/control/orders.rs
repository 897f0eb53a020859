//! The client's questions and orders by name.

use super::client::{Control, unexpected};
use crate::{BusError, streams, subjects};
use bytes::Bytes;
use domain::control::{
    Ask, JobDetail, JobFilter, JobId, JobRequest, JobState, JobView, Overview, Reply, ServiceName, ServiceView,
    ServiceWant,
};
use std::time::Duration;

impl Control {
    /// How a job stands, with why it waits. Includes its submission, however short ago that was.
    pub async fn job_view(&self, job: &JobId, within: Duration) -> Result<Option<JobView>, BusError> {
        match self.stored_request(job).await? {
            Some((seen, _)) => self.view(Ask::Job { job: job.clone(), seen }, within).await,
            None => Ok(None),
        }
    }

    /// A job with its payload, and its result and snapshot if it has them. None if it is not known or was forgotten.
    pub async fn job(&self, job: &JobId, within: Duration) -> Result<Option<JobDetail>, BusError> {
        let Some((seen, body)) = self.stored_request(job).await? else { return Ok(None) };
        let ask = Ask::Job { job: job.clone(), seen };
        self.detail(job, &body, ask, within).await
    }

    /// The same once the job has ended, or as it stands when the time is over.
    pub async fn job_at_end(&self, job: &JobId, wait: Duration) -> Result<Option<JobDetail>, BusError> {
        let Some((seen, body)) = self.stored_request(job).await? else { return Ok(None) };
        let within_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let ask = Ask::JobEnded { job: job.clone(), seen, within_ms };
        self.detail(job, &body, ask, wait + Duration::from_secs(1)).await
    }

    async fn detail(
        &self,
        job: &JobId,
        body: &[u8],
        ask: Ask,
        within: Duration,
    ) -> Result<Option<JobDetail>, BusError> {
        let Some(view) = self.view(ask, within).await? else { return Ok(None) };
        let request: JobRequest = super::read("a stored job", body)?;
        let result = async {
            match view.status {
                JobState::Completed => self.documents().end(job).await,
                JobState::Queued
                | JobState::Running
                | JobState::Paused
                | JobState::Failed
                | JobState::Cancelled
                | JobState::Expired => Ok(None),
            }
        };
        let snapshot = async { if view.has_snapshot { self.documents().snapshot(job).await } else { Ok(None) } };
        let (result, snapshot) = tokio::try_join!(result, snapshot)?;
        let result = result.filter(|end| end.attempt == view.attempts);
        Ok(Some(JobDetail { view, payload: request.payload, result: result.map(|end| end.result), snapshot }))
    }

    /// A job as it was submitted.
    pub async fn request(&self, job: &JobId) -> Result<Option<JobRequest>, BusError> {
        let found = self.stored_request(job).await?;
        found.map(|(_, body)| super::read("a stored job", &body)).transpose()
    }

    async fn stored_request(&self, job: &JobId) -> Result<Option<(u64, Bytes)>, BusError> {
        let found = self.inner.last(streams::REQUESTS, &subjects::job_request(job)).await?;
        Ok(found.map(|stored| (stored.sequence, stored.payload)))
    }

    async fn view(&self, ask: Ask, within: Duration) -> Result<Option<JobView>, BusError> {
        let Reply::Job(view) = self.ask(&ask, within).await? else { return Err(unexpected()) };
        Ok(view.map(|view| *view))
    }

    /// A job once it has ended, or as it stands when the time is over.
    pub async fn job_ended(&self, job: &JobId, within: Duration) -> Result<Option<JobView>, BusError> {
        let Some((seen, _)) = self.stored_request(job).await? else { return Ok(None) };
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let ask = Ask::JobEnded { job: job.clone(), seen, within_ms };
        self.view(ask, within + Duration::from_secs(1)).await
    }

    /// A page of jobs, and where the next one begins.
    pub async fn jobs(&self, filter: JobFilter, within: Duration) -> Result<(Vec<JobView>, Option<u64>), BusError> {
        let Reply::Jobs { jobs, next } = self.ask(&Ask::Jobs(filter), within).await? else { return Err(unexpected()) };
        Ok((jobs, next))
    }

    /// How a service stands; with `probe` its health is asked for now.
    pub async fn service(
        &self,
        name: &ServiceName,
        probe: bool,
        within: Duration,
    ) -> Result<Option<ServiceView>, BusError> {
        let Reply::Service(view) = self.ask(&Ask::Service { name: name.clone(), probe }, within).await? else {
            return Err(unexpected());
        };
        Ok(view.map(|view| *view))
    }

    /// A service once it is as wanted, or as it stands when the time is over.
    pub async fn service_when(
        &self,
        name: &ServiceName,
        want: ServiceWant,
        within: Duration,
    ) -> Result<Option<ServiceView>, BusError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let ask = Ask::ServiceWhen { name: name.clone(), want, within_ms };
        let Reply::Service(view) = self.ask(&ask, within + Duration::from_secs(1)).await? else {
            return Err(unexpected());
        };
        Ok(view.map(|view| *view))
    }

    /// How all services stand, by name.
    pub async fn services(&self, probe: bool, within: Duration) -> Result<Vec<ServiceView>, BusError> {
        let Reply::Services(views) = self.ask(&Ask::Services { probe }, within).await? else {
            return Err(unexpected());
        };
        Ok(views)
    }

    /// Everything in numbers.
    pub async fn overview(&self, within: Duration) -> Result<Overview, BusError> {
        let Reply::Overview(overview) = self.ask(&Ask::Overview, within).await? else { return Err(unexpected()) };
        Ok(*overview)
    }
}
