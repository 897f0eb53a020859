//! Reading a ledger: its head, or its records by cursor.

use crate::body::{self, HeadBody, MarksOnly, Outcome, RawRecord, RecordsBody};
use crate::{Ledger, LedgerError, Marks, Summary};
use bus::JournalMessage;
use domain::{RunId, RunStatus};
use flow::{Effect, State};

/// Steps fetched with one request.
const STEPS_PER_READ: usize = 256;

/// The last step of a run: where it stands and what it owes.
#[derive(Clone, Debug)]
pub struct Head {
    /// Position in the shard's stream; the fence of the next append.
    pub sequence: u64,
    /// Last inbox sequence taken in.
    pub inbox_cursor: u64,
    /// Who wrote it.
    pub writer: String,
    /// Records before this step.
    pub before: u64,
    /// The state after it.
    pub state: State,
    /// What it owes.
    pub effects: Vec<Effect>,
    /// Commands it settled.
    pub outcomes: Vec<Outcome>,
    /// The doorbell whose holder owns its slow effects.
    pub doorbell: u64,
    /// Which delivery of it, from 1.
    pub delivery: u64,
    /// Where earlier records lie.
    pub marks: Marks,
    /// Where its state lies, when it is too large for the message.
    pub state_blob: Option<String>,
}

/// One record with its place.
#[derive(Clone, Debug)]
pub struct Item {
    /// From 1, without gaps.
    pub cursor: u64,
    /// The record as stored.
    pub record: RawRecord,
}

/// A piece of a ledger.
#[derive(Clone, Debug)]
pub struct Page {
    /// Records in order.
    pub items: Vec<Item>,
    /// How many records the ledger had when this was read.
    pub total: u64,
    /// Where the run stood then.
    pub status: RunStatus,
}

impl Ledger {
    /// The run's head, or none when it has no step yet.
    pub async fn head(&self, run: &RunId) -> Result<Option<Head>, LedgerError> {
        let Some(message) = self.journal.last(run).await? else { return Ok(None) };
        match self.parse(message).await {
            // The state of a head that was replaced meanwhile may be gone from the blob store.
            Err(LedgerError::Unreadable { .. }) => self.head_at_leader(run).await,
            head => head.map(Some),
        }
    }

    /// The run's head as the leader knows it; for after a lost fence.
    pub async fn head_at_leader(&self, run: &RunId) -> Result<Option<Head>, LedgerError> {
        let mut seen = None;
        loop {
            let Some(message) = self.journal.last_at_leader(run).await? else { return Ok(None) };
            let sequence = message.sequence;
            match self.parse(message).await {
                // Replaced between the two reads, and its state with it: a later step has another.
                Err(LedgerError::Unreadable { .. }) if seen.is_none_or(|seen| seen < sequence) => seen = Some(sequence),
                head => return head.map(Some),
            }
        }
    }

    /// What lists show of the run, read from its head without its variables.
    pub async fn summary(&self, run: &RunId) -> Result<Option<Summary>, LedgerError> {
        match self.journal.last(run).await? {
            Some(message) => Summary::read(run, &message.body).map(Some),
            None => Ok(None),
        }
    }

    async fn parse(&self, message: JournalMessage) -> Result<Head, LedgerError> {
        let run = &message.run;
        let found: HeadBody = body::read(run, &message.body)?;
        let state = match &found.state_blob {
            None => body::read(run, found.state.get().as_bytes())?,
            Some(name) => {
                let bytes = self.blobs.get(name).await?.ok_or_else(|| LedgerError::Unreadable {
                    run: run.to_string(),
                    cause: format!("its state {name} is not in the blob store"),
                })?;
                body::read(run, &bytes)?
            }
        };
        Ok(Head {
            sequence: message.sequence,
            inbox_cursor: message.inbox_cursor,
            writer: message.writer,
            before: found.before,
            state,
            effects: found.effects,
            outcomes: found.outcomes,
            doorbell: found.doorbell,
            delivery: found.delivery,
            marks: found.marks,
            state_blob: found.state_blob,
        })
    }

    /// At most `limit` records after the first `after`; none when the run has no step yet.
    pub async fn records(&self, run: &RunId, after: u64, limit: usize) -> Result<Option<Page>, LedgerError> {
        let Some(last) = self.journal.last(run).await? else { return Ok(None) };
        let tail: RecordsBody = body::read(run, &last.body)?;
        let total = tail.before + tail.records.len() as u64;
        let mut page = Page { items: Vec::new(), total, status: tail.state.status };
        if after >= total || limit == 0 {
            return Ok(Some(page));
        }
        if after < tail.before {
            let marks = body::read::<MarksOnly>(run, &last.body)?.marks;
            let from = marks.lower_bound(after).unwrap_or(1);
            self.earlier(run, from, last.sequence, after, limit, &mut page).await?;
        }
        take(&mut page, tail, after, limit);
        Ok(Some(page))
    }

    /// Records of the steps before the last one.
    async fn earlier(
        &self,
        run: &RunId,
        mut from: u64,
        end: u64,
        after: u64,
        limit: usize,
        page: &mut Page,
    ) -> Result<(), LedgerError> {
        while from < end && page.items.len() < limit {
            let (steps, _) = self.journal.read(run, from, STEPS_PER_READ).await?;
            let Some(last) = steps.last() else { return Ok(()) };
            from = last.sequence + 1;
            for step in steps.into_iter().filter(|step| step.sequence < end) {
                take(page, body::read(run, &step.body)?, after, limit);
            }
        }
        Ok(())
    }
}

fn take(page: &mut Page, step: RecordsBody, after: u64, limit: usize) {
    let mut next = page.items.last().map_or(after, |item| item.cursor) + 1;
    for (place, record) in step.records.into_iter().enumerate() {
        let cursor = step.before + place as u64 + 1;
        if cursor == next && page.items.len() < limit {
            page.items.push(Item { cursor, record });
            next += 1;
        }
    }
}
