//! Everything that can go wrong with a request, and the one table that says how a client sees it.

use http::StatusCode;
use std::time::Duration;

/// Why a request was not served, in words for the client.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the request body is not the JSON object that was expected: {0}")]
    BadBody(String),
    #[error("the request body is not the form that was expected: {0}")]
    BadForm(String),
    #[error("'{name}' must be {wanted}")]
    WrongType { name: &'static str, wanted: &'static str },
    #[error("the request names no model; set 'model' to one of: {}", list(.known))]
    NoModel { known: Vec<String> },
    #[error("{0}")]
    Unsupported(String),
    #[error("no API key was sent; send 'Authorization: Bearer <key>' or 'x-api-key: <key>'")]
    NoKey,
    #[error("the API key is not known here; check it, or ask for a new one")]
    WrongKey,
    #[error("no API key is configured, so only programs on this machine may call; set API_KEYS to let others in")]
    LoopbackOnly,
    #[error(
        "no API key is configured, so pages of '{origin}' may not call; name it in GANTRY_PROXY_CORS_ORIGINS, or set API_KEYS"
    )]
    ForeignPage { origin: String },
    #[error("the key '{key}' may not {what}")]
    Forbidden { key: String, what: String },
    #[error("the model '{model}' does not exist here; models that do: {}", list(.known))]
    UnknownModel { model: String, known: Vec<String> },
    #[error("there is nothing at {path}")]
    UnknownRoute { path: String },
    #[error("{path} does not take {method}")]
    WrongMethod { path: String, method: String },
    #[error("backend '{backend}' does not support {what}")]
    NotSupported { backend: String, what: &'static str },
    #[error("the request body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("{what}; try again in {} s", .retry.as_secs_f64().ceil())]
    RateLimited { what: String, retry: Duration },
    #[error("key '{key}' has used up its budget of tokens; ask for a larger one")]
    BudgetSpent { key: String },
    #[error("the queue of model '{model}' is full with {waiting} requests; try again in {} s", .retry.as_secs_f64().ceil())]
    QueueFull { model: String, waiting: usize, retry: Duration },
    #[error("no place came free in the queue of model '{model}' within {} s", rounded(.after))]
    QueueTimeout { model: String, after: Duration },
    #[error("no backend of model '{model}' is answering; try again in {} s", .retry.as_secs_f64().ceil())]
    NoReplica { model: String, retry: Duration },
    #[error(
        "nothing serves model '{model}' now: no backend, no registered service and no fallback of it is known here"
    )]
    Nowhere { model: String },
    #[error(
        "the model '{model}' may be on '{silent}', which does not answer now; models on others: {}", list(.known)
    )]
    PerhapsElsewhere { model: String, silent: String, known: Vec<String> },
    #[error("service '{service}' cannot be started: {why}")]
    CannotStart { service: String, why: String },
    #[error("service '{service}' did not start: {why}; try again in {} s", .retry.as_secs_f64().ceil())]
    StartFailed { service: String, why: String, retry: Duration },
    #[error("service '{service}' did not serve within {} s: {why}; try again in {} s", .after.as_secs_f64(), .retry.as_secs_f64().ceil())]
    StartTimeout { service: String, after: Duration, why: String, retry: Duration },
    #[error("backend '{backend}' cannot be reached: {reason}")]
    Unreachable { backend: String, reason: String },
    #[error("backend '{backend}' took no connection within {} s", .after.as_secs_f64())]
    ConnectTimeout { backend: String, after: Duration },
    #[error("backend '{backend}' sent no first token within {} s", .after.as_secs_f64())]
    FirstTokenTimeout { backend: String, after: Duration },
    #[error("backend '{backend}' sent nothing for {} s in the middle of its answer", .after.as_secs_f64())]
    BetweenTokensTimeout { backend: String, after: Duration },
    #[error("the request took longer than {} s in total", .after.as_secs_f64())]
    TotalTimeout { after: Duration },
    #[error("the gateway is being stopped; try again in a moment")]
    Stopping,
    #[error("backend '{backend}' broke off its answer: {reason}")]
    Disconnected { backend: String, reason: String },
    #[error("backend '{backend}' sent an answer that makes no sense: {reason}")]
    BadReply { backend: String, reason: String },
    #[error("{0}")]
    Upstream(Box<Refusal>),
    #[error("there is no job '{id}' of yours")]
    UnknownJob { id: String },
    #[error("the job '{id}' has ended: it is {status}")]
    JobEnded { id: String, status: &'static str },
    #[error("the job '{id}' has no answer: it is {status}")]
    NoAnswer { id: String, status: &'static str },
    #[error("the Idempotency-Key was used for another request, which is the job '{id}'; choose another key")]
    KeyReused { id: String },
    #[error("{waiting} requests {whose} wait as jobs already; try again in {} s", .retry.as_secs_f64().ceil())]
    TooManyJobs { waiting: usize, whose: &'static str, retry: Duration },
    #[error("the requests that wait as jobs have {waiting} bytes already; try again in {} s", .retry.as_secs_f64().ceil())]
    TooManyBytes { waiting: u64, retry: Duration },
    #[error("{cause}; it did not become a job: {why}")]
    NoJob { cause: Box<Self>, why: String },
    #[error("this proxy has no broker to keep jobs on; set GANTRY_NATS_URL")]
    NoBroker,
    #[error("jobs cannot be read or written now: {why}")]
    JobsAway { why: String },
    #[error("the answer is larger than the {limit} bytes that are kept of one")]
    AnswerTooLarge { limit: usize },
    #[error("the job is in other hands now")]
    JobTaken,
}

/// An error that a backend itself answered with, brought into one shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) backend: String,
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) kind: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
    pub(crate) retry: Option<Duration>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// The status, type and code of an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) status: StatusCode,
    pub(crate) kind: String,
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
}

/// No client is told to wait longer than this: some of them obey without a limit of their own.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);
const AFTER_A_FULL_QUEUE: Duration = Duration::from_secs(5);

impl ProxyError {
    /// What a client sees of it.
    pub(crate) fn face(&self) -> Face {
        let (status, kind, code) = match self {
            Self::BadBody(_) | Self::BadForm(_) => (StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_body"),
            Self::WrongType { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_type"),
            Self::NoModel { .. } => (StatusCode::BAD_REQUEST, "invalid_request_error", "model_required"),
            Self::Unsupported(_) => (StatusCode::BAD_REQUEST, "invalid_request_error", "unsupported_value"),
            Self::NoKey | Self::WrongKey | Self::LoopbackOnly => {
                (StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key")
            }
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, "permission_error", "not_allowed"),
            Self::ForeignPage { .. } => (StatusCode::FORBIDDEN, "permission_error", "origin_not_allowed"),
            Self::UnknownModel { .. } => (StatusCode::NOT_FOUND, "invalid_request_error", "model_not_found"),
            Self::UnknownRoute { .. } => (StatusCode::NOT_FOUND, "invalid_request_error", "not_found"),
            Self::WrongMethod { .. } => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed"),
            Self::NotSupported { .. } => {
                (StatusCode::NOT_IMPLEMENTED, "not_supported_error", "capability_not_supported")
            }
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "body_too_large"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded"),
            Self::BudgetSpent { .. } => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota"),
            Self::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "queue_full"),
            Self::QueueTimeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "queue_timeout"),
            Self::NoReplica { .. } | Self::Nowhere { .. } | Self::PerhapsElsewhere { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "no_backend_available")
            }
            Self::CannotStart { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "cannot_start"),
            Self::StartFailed { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "start_failed"),
            Self::StartTimeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "start_timeout"),
            Self::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "upstream_error", "upstream_unreachable"),
            Self::ConnectTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout_error", "connect_timeout"),
            Self::FirstTokenTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout_error", "first_token_timeout"),
            Self::BetweenTokensTimeout { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "timeout_error", "between_tokens_timeout")
            }
            Self::TotalTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "timeout_error", "total_timeout"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "gateway_stopping"),
            Self::Disconnected { .. } => (StatusCode::BAD_GATEWAY, "upstream_error", "upstream_disconnected"),
            Self::BadReply { .. } => (StatusCode::BAD_GATEWAY, "upstream_error", "upstream_bad_reply"),
            Self::Upstream(refusal) => return refusal.face(),
            Self::UnknownJob { .. } => (StatusCode::NOT_FOUND, "invalid_request_error", "job_not_found"),
            Self::JobEnded { .. } => (StatusCode::CONFLICT, "invalid_request_error", "job_ended"),
            Self::NoAnswer { .. } => (StatusCode::CONFLICT, "invalid_request_error", "job_has_no_answer"),
            Self::KeyReused { .. } => (StatusCode::CONFLICT, "invalid_request_error", "idempotency_key_reused"),
            Self::TooManyJobs { .. } | Self::TooManyBytes { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "too_many_jobs")
            }
            Self::NoJob { cause, .. } => return cause.face(),
            Self::NoBroker => (StatusCode::NOT_IMPLEMENTED, "not_supported_error", "no_broker"),
            Self::JobsAway { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", "jobs_unavailable"),
            Self::AnswerTooLarge { .. } => (StatusCode::BAD_GATEWAY, "upstream_error", "answer_too_large"),
            Self::JobTaken => (StatusCode::CONFLICT, "invalid_request_error", "job_taken"),
        };
        let about_model =
            matches!(self, Self::NoModel { .. } | Self::UnknownModel { .. } | Self::PerhapsElsewhere { .. });
        let param = if let Self::WrongType { name, .. } = self { Some(*name) } else { about_model.then_some("model") };
        let param = param.map(str::to_owned);
        Face { status, kind: kind.to_owned(), code: Some(code.to_owned()), param }
    }

    /// When to try again, where that helps; never longer than [`LONGEST_WAIT`].
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let wait = if let Self::RateLimited { retry, .. }
        | Self::QueueFull { retry, .. }
        | Self::NoReplica { retry, .. }
        | Self::TooManyJobs { retry, .. }
        | Self::TooManyBytes { retry, .. }
        | Self::StartFailed { retry, .. }
        | Self::StartTimeout { retry, .. } = self
        {
            *retry
        } else if let Self::Upstream(refusal) = self {
            refusal.retry.or_else(|| refusal.usual_retry())?
        } else if let Self::NoJob { cause, .. } = self {
            return cause.retry_after();
        } else if matches!(self, Self::QueueTimeout { .. } | Self::JobsAway { .. } | Self::Stopping)
            || matches!(self, Self::Nowhere { .. } | Self::PerhapsElsewhere { .. })
        {
            AFTER_A_FULL_QUEUE
        } else {
            return None;
        };
        Some(wait.clamp(Duration::from_millis(1), LONGEST_WAIT))
    }

    /// Whether a client does better not to try again, although the status would make it.
    pub(crate) fn is_final(&self) -> bool {
        // A client that is told "conflict" tries again by itself, to no purpose.
        matches!(self, Self::JobEnded { .. } | Self::NoAnswer { .. } | Self::KeyReused { .. } | Self::NoBroker)
            || matches!(self, Self::NoJob { cause, .. } if cause.is_final())
            || matches!(self, Self::NotSupported { .. } | Self::BudgetSpent { .. } | Self::CannotStart { .. })
            || matches!(self, Self::Upstream(refusal) if refusal.status == StatusCode::NOT_IMPLEMENTED)
    }

    /// Whether another replica may be asked in its place: it says nothing about the request itself.
    pub(crate) fn is_failover(&self) -> bool {
        matches!(self, Self::NoReplica { .. } | Self::BadReply { .. })
            || matches!(self, Self::CannotStart { .. } | Self::StartFailed { .. } | Self::StartTimeout { .. })
            || matches!(self, Self::Unreachable { .. } | Self::ConnectTimeout { .. } | Self::Disconnected { .. })
            || matches!(self, Self::Upstream(refusal) if matches!(refusal.status.as_u16(), 429 | 502 | 503 | 504 | 529))
    }

    /// Whether one of the model's fallbacks may be asked in its place. Who waited in vain for a place or for a first token
    /// does not wait for the same model once more.
    pub(crate) fn asks_fallback(&self) -> bool {
        self.is_failover()
            || matches!(self, Self::QueueFull { .. } | Self::QueueTimeout { .. } | Self::FirstTokenTimeout { .. })
    }

    /// Whether it speaks against the replica's health.
    pub(crate) fn blames_replica(&self) -> bool {
        // Not 500: model servers answer so to requests that they do not like, and one client must not be able to take
        // a replica away from the others.
        if let Self::Upstream(refusal) = self {
            return matches!(refusal.status.as_u16(), 502 | 503 | 504 | 529);
        }
        matches!(self, Self::FirstTokenTimeout { .. } | Self::BetweenTokensTimeout { .. } | Self::BadReply { .. })
            || matches!(self, Self::Unreachable { .. } | Self::ConnectTimeout { .. } | Self::Disconnected { .. })
    }
}

impl Refusal {
    /// When a backend that said nothing about it may be asked again.
    fn usual_retry(&self) -> Option<Duration> {
        match self.status.as_u16() {
            429 => Some(Duration::from_secs(1)),
            503 | 529 => Some(AFTER_A_FULL_QUEUE),
            _ => None,
        }
    }

    fn face(&self) -> Face {
        let kind = match self.status.as_u16() {
            400 | 404 | 409 | 413 | 422 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            501 => "not_supported_error",
            503 | 529 => "overloaded_error",
            504 => "timeout_error",
            _ => "upstream_error",
        };
        Face {
            status: self.status,
            kind: self.kind.clone().unwrap_or_else(|| kind.to_owned()),
            code: self.code.clone(),
            param: self.param.clone(),
        }
    }
}

/// Seconds, to the millisecond.
fn rounded(time: &Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 30;
    if names.is_empty() {
        return "none yet".to_owned();
    }
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
