//! What the api and other clients do with the control plane.

use super::{JobDocuments, read, write};
use crate::message::TraceContext;
use crate::publish::{EXPECTED_LAST, Published};
use crate::{Bus, BusError, Inner, streams, subjects};
use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use domain::control::{Answer, Ask, ControlOrder, JobId, JobRequest, JobView, Order, Reply};
use domain::{Time, uuid_from};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A question that is not answered within this is asked again: its leader may have changed.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// An order that nobody took in for this long is dropped.
const ORDER_TTL: &str = "604800s";

/// Submits, orders and asks.
#[derive(Clone)]
pub struct Control {
    pub(super) inner: Arc<Inner>,
    documents: JobDocuments,
}

/// A stored submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is stored and will be taken in.
    Accepted {
        /// Its position, for [`Ask::Job`].
        sequence: u64,
        /// Whether the same was submitted before under that id.
        repeated: bool,
    },
    /// Something else was submitted before under that id.
    Conflict,
}

impl Bus {
    /// The control plane, for clients.
    pub fn control(&self) -> Control {
        Control { inner: self.inner.clone(), documents: self.job_documents() }
    }
}

impl Control {
    /// A new job's id.
    pub fn new_job_id(&self) -> JobId {
        JobId::new(uuid_from(&[b"job", self.inner.client.new_inbox().as_bytes()]))
    }

    /// The job's id that an idempotency key stands for, for ever.
    pub fn job_id_of(&self, key: &str) -> JobId {
        JobId::new(uuid_from(&[b"job of key", key.as_bytes()]))
    }

    /// The documents of jobs.
    pub fn documents(&self) -> &JobDocuments {
        &self.documents
    }

    /// Stores a submission. After this it is not lost, whoever dies.
    pub async fn submit(&self, request: &JobRequest, trace: &TraceContext) -> Result<Submitted, BusError> {
        let what = "a job";
        let body = write(what, request)?;
        let subject = subjects::job_request(&request.id);
        let (sequence, repeated) = self.store_once(what, &subject, &body, trace, None).await?;
        if !repeated {
            return Ok(Submitted::Accepted { sequence, repeated });
        }
        let Some(stored) = self.inner.last_at_leader(streams::REQUESTS, &subject).await? else {
            return Ok(Submitted::Conflict);
        };
        let before: JobRequest = read("a stored job", &stored.payload)?;
        let same = before.digest() == request.digest();
        Ok(if same { Submitted::Accepted { sequence: stored.sequence, repeated } } else { Submitted::Conflict })
    }

    /// How a job stands once a submission at that position is taken in; none if no scheduler says so in time.
    pub async fn seen(&self, job: &JobId, sequence: u64, within: Duration) -> Result<Option<JobView>, BusError> {
        match self.ask(&Ask::Job { job: job.clone(), seen: sequence }, within).await {
            Ok(Reply::Job(view)) => Ok(view.map(|view| *view)),
            Ok(
                Reply::Outcome(_) | Reply::Jobs { .. } | Reply::Service(_) | Reply::Services(_) | Reply::Overview(_),
            ) => Err(unexpected()),
            Err(error) if error.is_transient() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores an order and waits for what becomes of it. An error that is transient leaves the order stored: it will be
    /// carried out when a scheduler leads again. The id makes a second call harmless; none takes a new one.
    pub async fn order(
        &self,
        order: Order,
        at: Time,
        id: Option<&str>,
        within: Duration,
        trace: &TraceContext,
    ) -> Result<Answer, BusError> {
        let until = Instant::now() + within;
        let id = id.map_or_else(|| self.inner.client.new_inbox(), str::to_owned);
        let subject = subjects::control_order(&id);
        let body = write("an order", &ControlOrder { id, at, order })?;
        let (sequence, _) = self.store_once("an order", &subject, &body, trace, Some(ORDER_TTL)).await?;
        let left = until.saturating_duration_since(Instant::now());
        match self.ask(&Ask::Outcome { sequence }, left).await? {
            Reply::Outcome(Some(answer)) => Ok(answer),
            Reply::Outcome(None) => Err(BusError::Unknown { what: "an order".to_owned() }),
            Reply::Job(_) | Reply::Jobs { .. } | Reply::Service(_) | Reply::Services(_) | Reply::Overview(_) => {
                Err(unexpected())
            }
        }
    }

    /// Asks the leading scheduler, for so long as there may be none.
    pub async fn ask(&self, ask: &Ask, within: Duration) -> Result<Reply, BusError> {
        let what = "a question to the scheduler";
        let body = write(what, ask)?;
        let until = Instant::now() + within;
        let mut pause = Duration::from_millis(20);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let patience = left.min(ASK_AGAIN + patience_of(ask)).max(Duration::from_millis(1));
            let request = Request::new().payload(body.clone()).timeout(Some(patience));
            match self.inner.client.send_request(subjects::ASK, request).await {
                Ok(message) => return read("the scheduler's answer", &message.payload),
                Err(error) if until <= Instant::now() + pause => {
                    let cause = match error.kind() {
                        RequestErrorKind::NoResponders => "no scheduler leads now".to_owned(),
                        RequestErrorKind::TimedOut
                        | RequestErrorKind::InvalidSubject
                        | RequestErrorKind::MaxPayloadExceeded
                        | RequestErrorKind::Other => error.to_string(),
                    };
                    return Err(BusError::unavailable(what, cause));
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    }

    /// Publishes to a subject that holds at most one message for ever; says whether it was there already.
    async fn store_once(
        &self,
        what: &'static str,
        subject: &str,
        body: &Bytes,
        trace: &TraceContext,
        ttl: Option<&str>,
    ) -> Result<(u64, bool), BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_LAST, "0");
        if let Some(ttl) = ttl {
            headers.insert("Nats-TTL", ttl);
        }
        trace.write(&mut headers);
        let mut pause = Duration::from_millis(10);
        let mut last = BusError::Unknown { what: what.to_owned() };
        let mut asked_before = false;
        for _ in 0..8 {
            match self.inner.publish(what, subject.to_owned(), headers.clone(), body.clone()).await {
                Ok(Published::Stored { sequence, .. }) => return Ok((sequence, false)),
                // An earlier try whose answer was lost may be what the fence met; it is the same either way.
                Ok(Published::Fenced { last }) => return Ok((last, !asked_before)),
                Ok(Published::Busy) => {}
                Err(error) if error.is_transient() => {
                    asked_before = true;
                    last = error;
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        Err(last)
    }
}

/// How much longer than usual the leader may take before it is asked again.
fn patience_of(ask: &Ask) -> Duration {
    match ask {
        Ask::JobEnded { within_ms, .. } | Ask::ServiceWhen { within_ms, .. } => Duration::from_millis(*within_ms),
        Ask::Services { probe: true } | Ask::Service { probe: true, .. } => Duration::from_secs(5),
        Ask::Outcome { .. }
        | Ask::Job { .. }
        | Ask::Jobs(_)
        | Ask::Service { .. }
        | Ask::Services { .. }
        | Ask::Overview
        | Ask::DryRun { .. } => Duration::ZERO,
    }
}

pub(super) fn unexpected() -> BusError {
    BusError::corrupt("the scheduler's answer", "it answers another question")
}
