//! Appending a step.

use crate::body::{Outcome, Written};
use crate::{Head, Ledger, LedgerError, Marks, Summary};
use bus::{Commit, CommitOutcome, TraceContext};
use domain::limits;
use flow::{Effect, State};
use serde_json::value::{RawValue, to_raw_value};

/// A step to be stored.
pub struct Append<'a> {
    /// The head that the step was computed from; none for the first step of a run.
    pub previous: Option<&'a Head>,
    /// The state after it.
    pub state: State,
    /// Its records: a JSON array.
    pub records: &'a RawValue,
    /// What it owes.
    pub effects: Vec<Effect>,
    /// Commands it settled.
    pub outcomes: Vec<Outcome>,
    /// Last inbox sequence it took in.
    pub inbox_cursor: u64,
    /// The doorbell that was held while it was made: whoever holds it owns the slow effects.
    pub doorbell: u64,
    /// Which delivery of that doorbell it was, from 1: whoever has an earlier one in hand has lost it.
    pub delivery: u64,
    /// Unique to this attempt.
    pub writer: String,
    /// What caused it.
    pub trace: &'a TraceContext,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Appended {
    /// Stored; the run's new head.
    Stored(Box<Head>),
    /// Somebody else was first: read the head again.
    Fenced,
}

impl Ledger {
    /// Stores a step, or finds that another was stored since.
    pub async fn append(&self, append: Append<'_>) -> Result<Appended, LedgerError> {
        let run = append.state.run_id.clone();
        let unreadable =
            |error: serde_json::Error| LedgerError::Unreadable { run: run.to_string(), cause: error.to_string() };
        let marks = next_marks(append.previous);
        let state = to_raw_value(&append.state).map_err(unreadable)?;
        let blob = self.offload(&append, &state).await?;
        let inline = match &blob {
            Some(_) => to_raw_value(&Summary::of(&append.state)).map_err(unreadable)?,
            None => state,
        };
        let appended = self.write(append, &inline, blob.clone(), marks).await;
        let refused = match &appended {
            Ok(Appended::Stored(_)) => false,
            Ok(Appended::Fenced) => true,
            // The step may have been stored all the same, or may be yet: then its state has to be there.
            Err(error) => !error.is_transient(),
        };
        if let Some(name) = blob.filter(|_| refused) {
            Box::pin(self.forget(&name)).await;
        }
        appended
    }

    async fn write(
        &self,
        append: Append<'_>,
        state: &RawValue,
        blob: Option<String>,
        marks: Marks,
    ) -> Result<Appended, LedgerError> {
        let run = &append.state.run_id;
        let body = serde_json::to_vec(&Written {
            before: append.previous.map_or(0, |head| head.state.cursor),
            records: append.records,
            outcomes: &append.outcomes,
            effects: &append.effects,
            doorbell: append.doorbell,
            delivery: append.delivery,
            marks: &marks,
            state_blob: blob.as_deref(),
            state,
        })
        .map_err(|error| LedgerError::Unreadable { run: run.to_string(), cause: error.to_string() })?;
        let limit = limits::MESSAGE_BYTES - 8_192;
        if body.len() > limit {
            return Err(LedgerError::TooLarge { run: run.to_string(), bytes: body.len(), limit });
        }
        self.commit(append, body.into(), blob, marks).await
    }

    async fn commit(
        &self,
        append: Append<'_>,
        body: bytes::Bytes,
        blob: Option<String>,
        marks: Marks,
    ) -> Result<Appended, LedgerError> {
        let commit = Commit {
            run: &append.state.run_id,
            expected: append.previous.map_or(0, |head| head.sequence),
            inbox_cursor: append.inbox_cursor,
            effects: append.effects.len(),
            writer: &append.writer,
            body,
            trace: append.trace,
        };
        let CommitOutcome::Stored(sequence) = self.journal.commit(&commit).await? else {
            return Ok(Appended::Fenced);
        };
        if let Some(old) = append.previous.and_then(|head| head.state_blob.as_deref()) {
            Box::pin(self.forget(old)).await;
        }
        Ok(Appended::Stored(Box::new(Head {
            sequence,
            inbox_cursor: append.inbox_cursor,
            writer: append.writer,
            before: append.previous.map_or(0, |head| head.state.cursor),
            state: append.state,
            effects: append.effects,
            outcomes: append.outcomes,
            doorbell: append.doorbell,
            delivery: append.delivery,
            marks,
            state_blob: blob,
        })))
    }

    /// A state that no step names. It is left behind when this fails, and nobody needs it.
    async fn forget(&self, name: &str) {
        if let Err(error) = self.blobs.remove(name).await {
            tracing::warn!(%error, "an outdated state was not removed");
        }
    }

    /// A state too large for the message is stored first, under a name that only this attempt uses.
    async fn offload(&self, append: &Append<'_>, state: &RawValue) -> Result<Option<String>, LedgerError> {
        if state.get().len() <= limits::INLINE_STATE_BYTES {
            return Ok(None);
        }
        let name = format!("state/{}/{}", append.state.run_id, append.writer);
        Box::pin(self.blobs.put(&name, state.get().as_bytes())).await?;
        Ok(Some(name))
    }
}

fn next_marks(previous: Option<&Head>) -> Marks {
    let Some(head) = previous else { return Marks::default() };
    let mut marks = head.marks.clone();
    marks.note(head.before, head.sequence);
    marks
}
