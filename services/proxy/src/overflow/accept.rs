//! Makes a job out of a request that could not be served.

use super::board::Crowded;
use super::{Overflow, Wish, now, request, view};
use crate::config::OverflowConfig;
use crate::error::ProxyError;
use crate::form::Form;
use crate::json::find;
use crate::metrics;
use crate::routing::Route;
use crate::surface::caller::Caller;
use axum::response::Response;
use bytes::Bytes;
use domain::deferred::{DeferredCaller, DeferredJob, StoredBody, digest_of, id_from, id_of_key};
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// When to look at a job for the first time if nothing better is known.
const LOOK: Duration = Duration::from_secs(5);
/// A request outlives its job's wait by this, so that an attempt near the end finds it.
const SLACK: Duration = Duration::from_secs(3_600);

/// A request whose client would have it as a job.
pub(crate) struct Deferral {
    pub(crate) wish: Wish,
    pub(crate) overflow: Option<Arc<Overflow>>,
    pub(crate) config: OverflowConfig,
    pub(crate) route: Route,
    pub(crate) caller: DeferredCaller,
    /// Those that go on to a backend.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) request_id: String,
}

/// Whether an error says only that nobody can serve the request now, and no model server has begun with it.
pub(crate) fn is_deferrable(error: &ProxyError) -> bool {
    matches!(error, ProxyError::QueueFull { .. } | ProxyError::QueueTimeout { .. })
        || matches!(
            error,
            ProxyError::NoReplica { .. } | ProxyError::Nowhere { .. } | ProxyError::PerhapsElsewhere { .. }
        )
        || matches!(error, ProxyError::StartFailed { .. } | ProxyError::StartTimeout { .. })
        || matches!(error, ProxyError::Unreachable { .. } | ProxyError::ConnectTimeout { .. })
        || matches!(error, ProxyError::Upstream(refusal) if matches!(refusal.status.as_u16(), 429 | 503 | 529)
            && refusal.code.as_deref() != Some("insufficient_quota"))
}

/// Who a caller is to its jobs.
pub(super) fn owner_of(caller: &Caller) -> DeferredCaller {
    let rank = caller.rank();
    let key = caller.key.as_ref();
    let owner = match key.map(|key| (key.config.tenant.as_deref(), &*key.id)) {
        Some((Some(tenant), _)) => format!("tenant:{tenant}"),
        Some((None, id)) => format!("key:{id}"),
        None => format!("address:{}", rank.tenant),
    };
    DeferredCaller {
        owner,
        key_id: key.map(|key| key.id.to_string()),
        key: caller.key_name().map(str::to_owned),
        tenant: rank.tenant.to_string(),
        weight: rank.weight,
        priority: rank.priority,
    }
}

impl Deferral {
    /// For that caller.
    pub(crate) fn caller(caller: &Caller) -> DeferredCaller {
        owner_of(caller)
    }

    /// The job that the caller's idempotency key stands for, if there is one already.
    pub(crate) async fn known(&self) -> Result<Option<Response>, ProxyError> {
        let (Some(overflow), Some(key)) = (&self.overflow, &self.wish.key) else { return Ok(None) };
        let Some(known) = overflow.find(&id_of_key(&self.caller.owner, key)).await? else { return Ok(None) };
        self.same(&known.job)?;
        metrics::job("repeated");
        Ok(Some(accepted(overflow, &known.job, LOOK)))
    }

    /// Stores the request as a job and says so, if what went wrong with it may be otherwise later.
    pub(crate) async fn take_up(&self, cause: ProxyError) -> Result<Response, ProxyError> {
        if !is_deferrable(&cause) {
            return Err(cause);
        }
        let look = cause.retry_after().unwrap_or(LOOK);
        let overflow = match self.refusal() {
            Ok(overflow) => overflow,
            Err(why) => return Err(ProxyError::NoJob { cause: Box::new(cause), why }),
        };
        let id = match &self.wish.key {
            Some(key) => id_of_key(&self.caller.owner, key),
            None => id_from(&uuid::Uuid::now_v7().to_string()),
        };
        let full = |crowded| {
            metrics::job("refused");
            let retry = look.max(LOOK);
            match crowded {
                Crowded::Jobs { waiting, whose } => ProxyError::TooManyJobs { waiting, whose, retry },
                Crowded::Bytes { waiting } => ProxyError::TooManyBytes { waiting, retry },
            }
        };
        let bytes = self.body.len() as u64;
        let coming = overflow.board.enter(&id, &self.caller.owner, bytes, &self.config).map_err(full)?;
        let job = self.store(overflow, id, cause.to_string()).await;
        drop(coming);
        match job {
            Ok(job) => Ok(accepted(overflow, &job, look)),
            Err(ProxyError::JobsAway { why }) => Err(ProxyError::NoJob { cause: Box::new(cause), why }),
            Err(error) => Err(error),
        }
    }

    /// Why the request cannot be a job, whoever serves it.
    fn refusal(&self) -> Result<&Arc<Overflow>, String> {
        let Some(overflow) = &self.overflow else { return Err(ProxyError::NoBroker.to_string()) };
        if self.config.jobs == 0 {
            return Err("jobs are turned off here (GANTRY_PROXY_JOBS=0)".to_owned());
        }
        if !self.route.can_wait() {
            return Err(format!("a request to {} is of use at once or never, and cannot wait", self.route.path()));
        }
        if self.body.len() > self.config.request_bytes {
            let (bytes, limit) = (self.body.len(), self.config.request_bytes);
            return Err(format!(
                "its {bytes} bytes are more than the {limit} that a job may have (GANTRY_PROXY_JOB_REQUEST_BYTES)"
            ));
        }
        Ok(overflow)
    }

    async fn store(&self, overflow: &Overflow, id: String, because: String) -> Result<DeferredJob, ProxyError> {
        let bad = |error: crate::json::Malformed| ProxyError::BadBody(error.to_string());
        let form = self.form().transpose()?;
        let model = match &form {
            None => {
                let [model] = find(&self.body, ["model"]).map_err(bad)?;
                model.and_then(|place| serde_json::from_slice::<String>(&self.body[place]).ok())
            }
            Some(form) => form.model(&self.body),
        };
        let body = request::write(&self.headers, &request::whole(&self.body, form.as_ref()).map_err(bad)?);
        let digest = self.digest();
        let name = format!("q{}", digest.get(..16).unwrap_or(&digest));
        let stored = overflow.jobs.store(&id, &name, &body, self.config.ttl + SLACK).await.map_err(super::away)?;
        let job = self.job(id, model, digest, stored, because);
        if let Some(known) = overflow.write(job.clone(), 0, self.config.keep).await? {
            metrics::job("accepted");
            tracing::info!(
                target: "chat_api.http",
                request_id = self.request_id, job = known.job.id, key = self.caller.key, path = job.path,
                because = job.because, "request became a job"
            );
            return Ok(known.job.clone());
        }
        // Somebody used the same idempotency key in the same moment.
        let known = overflow.find(&job.id).await?.ok_or(ProxyError::JobTaken)?;
        self.same(&known.job)?;
        metrics::job("repeated");
        Ok(known.job.clone())
    }

    fn job(
        &self,
        id: String,
        model: Option<String>,
        digest: String,
        request: StoredBody,
        because: String,
    ) -> DeferredJob {
        let created_at = now();
        let expires_at = created_at.plus_micros(i64::try_from(self.config.ttl.as_micros()).unwrap_or(i64::MAX));
        DeferredJob {
            model,
            request_id: self.request_id.clone(),
            digest,
            callback_url: self.wish.callback.clone(),
            request,
            because: Some(because),
            ..DeferredJob::new(id, self.caller.clone(), self.route.path(), created_at, expires_at)
        }
    }

    fn same(&self, job: &DeferredJob) -> Result<(), ProxyError> {
        if job.digest == self.digest() {
            return Ok(());
        }
        Err(ProxyError::KeyReused { id: job.id.clone() })
    }

    fn digest(&self) -> String {
        match self.form() {
            Some(Ok(form)) => digest_of(self.route.path(), &form.without_boundary(&self.body)),
            Some(Err(_)) | None => digest_of(self.route.path(), &self.body),
        }
    }

    fn form(&self) -> Option<Result<Form, ProxyError>> {
        Form::read(&self.headers, &self.body)
    }
}

/// `202` with the job.
fn accepted(overflow: &Overflow, job: &DeferredJob, look: Duration) -> Response {
    let mut response = view::response(view::job(overflow, job).to_string());
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
    headers.insert(RETRY_AFTER, HeaderValue::from(look.as_secs().clamp(1, 60)));
    if let Ok(value) = HeaderValue::try_from(format!("/v1/jobs/{}", job.id)) {
        headers.insert(LOCATION, value);
    }
    response
}
