//! Submissions and orders in the order in which they were stored, for the leading scheduler.

use super::follow::Tail;
use super::read;
use crate::batch::Stored;
use crate::message::TraceContext;
use crate::{Bus, streams, subjects};
use domain::control::{ControlOrder, JobRequest};

/// Requests from a position on.
pub struct Requests {
    tail: Tail,
}

/// A stored request.
#[derive(Debug)]
pub struct Request {
    /// Its position.
    pub sequence: u64,
    /// What is wanted; none if it cannot be read.
    pub body: Option<RequestBody>,
    /// What caused it.
    pub trace: TraceContext,
}

/// What is wanted.
#[derive(Debug)]
pub enum RequestBody {
    /// A job is submitted.
    Submit(Box<JobRequest>),
    /// An order.
    Order(Box<ControlOrder>),
}

impl Bus {
    /// Requests behind a position.
    pub fn control_requests(&self, after: u64) -> Requests {
        Requests { tail: Tail::new(self.inner.clone(), streams::REQUESTS, "gantry.request.>", after + 1) }
    }
}

impl Requests {
    /// The next request. Waits for ever.
    pub async fn next(&mut self) -> Request {
        let stored = self.tail.next().await;
        let trace = TraceContext::read(stored.headers.as_ref());
        Request { sequence: stored.sequence, body: parse(&stored), trace }
    }
}

fn parse(stored: &Stored) -> Option<RequestBody> {
    let parsed = if stored.subject.starts_with(subjects::JOB_REQUESTS) {
        read("a job", &stored.payload).map(RequestBody::Submit)
    } else {
        read("an order", &stored.payload).map(RequestBody::Order)
    };
    match parsed {
        Ok(body) => Some(body),
        Err(error) => {
            tracing::error!(%error, sequence = stored.sequence, "a request is passed over");
            None
        }
    }
}
