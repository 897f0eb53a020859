//! A run is known as soon as its start was accepted, although its ledger begins a moment later.

use crate::ApiError;
use crate::api::PlaneData;
use domain::{InboxMessage, RunId, StartRun};
use ledger::Head;

/// A run that exists.
#[derive(Debug)]
pub enum Known {
    /// It has taken a step.
    Begun(Box<Head>),
    /// It was accepted and waits in its inbox for its first step.
    Accepted(Box<StartRun>),
}

/// The run, or a 404.
pub async fn known(data: &PlaneData, run: &RunId) -> Result<Known, ApiError> {
    find(data, run).await?.ok_or_else(|| ApiError::no_run(run.as_str()))
}

/// The run, if there is one.
///
/// Its start leaves the inbox only after its first step is stored, so whoever finds neither the first time finds the
/// step the second time.
pub async fn find(data: &PlaneData, run: &RunId) -> Result<Option<Known>, ApiError> {
    if let Some(head) = data.ledger.head(run).await? {
        return Ok(Some(Known::Begun(Box::new(head))));
    }
    if let Some(start) = accepted(data, run).await? {
        return Ok(Some(Known::Accepted(start)));
    }
    Ok(data.ledger.head(run).await?.map(|head| Known::Begun(Box::new(head))))
}

/// The run whose start lies, or lay, at that place of its inbox, as the leaders know it. None when it was purged since.
pub async fn stored(data: &PlaneData, run: &RunId, sequence: u64) -> Result<Option<Known>, ApiError> {
    if let Some(body) = data.inbox.stored(run, sequence).await?
        && let Some(start) = start(&body)
    {
        return Ok(Some(Known::Accepted(start)));
    }
    Ok(data.ledger.head_at_leader(run).await?.map(|head| Known::Begun(Box::new(head))))
}

/// Whether there is such a run; cheaper than finding it.
pub async fn exists(data: &PlaneData, run: &RunId) -> Result<bool, ApiError> {
    if data.ledger.summary(run).await?.is_some() || accepted(data, run).await?.is_some() {
        return Ok(true);
    }
    Ok(data.ledger.summary(run).await?.is_some())
}

async fn accepted(data: &PlaneData, run: &RunId) -> Result<Option<Box<StartRun>>, ApiError> {
    let (pending, _) = data.inbox.pending(run, 0).await?;
    Ok(pending.iter().find_map(|message| start(&message.body)))
}

fn start(body: &[u8]) -> Option<Box<StartRun>> {
    match serde_json::from_slice(body) {
        Ok(InboxMessage::Start(start)) => Some(start),
        Ok(_) | Err(_) => None,
    }
}

impl Known {
    /// Digest of the request that started it.
    pub fn request_digest(&self) -> Option<&str> {
        match self {
            Self::Begun(head) => head.state.request_digest.as_deref(),
            Self::Accepted(start) => start.request_digest.as_deref(),
        }
    }

    /// Its variables.
    pub fn vars(&self) -> &domain::Object {
        match self {
            Self::Begun(head) => &head.state.vars,
            Self::Accepted(start) => &start.vars,
        }
    }

    /// What it executes.
    pub fn workflow(&self) -> &domain::WorkflowId {
        match self {
            Self::Begun(head) => &head.state.workflow_id,
            Self::Accepted(start) => &start.workflow_id,
        }
    }

    /// Where its flow is kept.
    pub fn source(&self) -> &domain::Source {
        match self {
            Self::Begun(head) => &head.state.source,
            Self::Accepted(start) => &start.source,
        }
    }
}
