//! The client's questions and orders by name.

use super::client::{Control, unexpected};
use crate::{BusError, streams, subjects};
use domain::control::{
    Ask, JobDetail, JobFilter, JobId, JobRequest, JobView, Overview, Reply, ServiceName, ServiceView, ServiceWant,
};
use std::time::Duration;

impl Control {
    /// How a job stands, with why it waits.
    pub async fn job_view(&self, job: &JobId, within: Duration) -> Result<Option<JobView>, BusError> {
        let Reply::Job(view) = self.ask(&Ask::Job { job: job.clone(), seen: 0 }, within).await? else { return Err(unexpected()) };
        Ok(view.map(|view| *view))
    }

    /// A job with its payload, and its result and snapshot if it has them. None if it is not known or was forgotten.
    pub async fn job(&self, job: &JobId, within: Duration) -> Result<Option<JobDetail>, BusError> {
        let Some(request) = self.request(job).await? else { return Ok(None) };
        let Some(view) = self.job_view(job, within).await? else { return Ok(None) };
        let (result, snapshot) = (self.documents().end(job), self.documents().snapshot(job));
        let (result, snapshot) = tokio::try_join!(result, snapshot)?;
        let result = result.filter(|end| end.attempt == view.attempts && view.status.is_terminal());
        Ok(Some(JobDetail { view, payload: request.payload, result: result.map(|end| end.result), snapshot }))
    }

    /// A job as it was submitted.
    pub async fn request(&self, job: &JobId) -> Result<Option<JobRequest>, BusError> {
        let found = self.inner.last(streams::REQUESTS, &subjects::job_request(job)).await?;
        found.map(|stored| super::read("a stored job", &stored.payload)).transpose()
    }

    /// A job once it has ended, or as it stands when the time is over.
    pub async fn job_ended(&self, job: &JobId, within: Duration) -> Result<Option<JobView>, BusError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let ask = Ask::JobEnded { job: job.clone(), within_ms };
        let Reply::Job(view) = self.ask(&ask, within + Duration::from_secs(1)).await? else { return Err(unexpected()) };
        Ok(view.map(|view| *view))
    }

    /// A page of jobs, newest first, and where the next one begins.
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
        let Reply::Service(view) = self.ask(&Ask::Service { name: name.clone(), probe }, within).await? else { return Err(unexpected()) };
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
        let Reply::Service(view) = self.ask(&ask, within + Duration::from_secs(1)).await? else { return Err(unexpected()) };
        Ok(view.map(|view| *view))
    }

    /// How all services stand, by name.
    pub async fn services(&self, probe: bool, within: Duration) -> Result<Vec<ServiceView>, BusError> {
        let Reply::Services(views) = self.ask(&Ask::Services { probe }, within).await? else { return Err(unexpected()) };
        Ok(views)
    }

    /// Everything in numbers.
    pub async fn overview(&self, within: Duration) -> Result<Overview, BusError> {
        let Reply::Overview(overview) = self.ask(&Ask::Overview, within).await? else { return Err(unexpected()) };
        Ok(*overview)
    }
}
