//! The ledger of a run: appended under a fence, replayed by cursor, followed live.
//!
//! One stored message is one step: its records, the state after it and the effects it owes. So a client can never see a
//! record whose step is not stored, nor a status whose records are not.

mod body;
mod feed;
mod marks;
mod read;
mod write;

pub use body::{Outcome, RawRecord, Summary};
pub use feed::{Feed, FeedMessage, Missed, Subscription};
pub use marks::Marks;
pub use read::{Head, Item, Page};
pub use write::{Append, Appended};

use bus::{Blobs, Bus, BusError, Journal};
use domain::{Plane, RunId};

/// The ledgers of one plane. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) journal: Journal,
    pub(crate) blobs: Blobs,
}

impl Ledger {
    /// The ledgers of a plane.
    pub fn new(bus: &Bus, plane: &Plane) -> Self {
        Self { journal: bus.journal(plane), blobs: bus.blobs() }
    }

    /// Whether what is read may be older than what was stored.
    pub fn may_lag(&self) -> bool {
        self.journal.may_lag()
    }

    /// Deletes a run's whole ledger, and with it the run. For drafts that have expired. Answers with a position in the
    /// run's shard that lies behind all of its steps.
    pub async fn purge(&self, run: &RunId) -> Result<u64, LedgerError> {
        if let Some(blob) = self.head(run).await?.and_then(|head| head.state_blob) {
            self.blobs.remove(&blob).await?;
        }
        Ok(self.journal.purge(run).await?)
    }
}

/// What can go wrong with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A stored step that cannot be read.
    #[error("the ledger of run {run} cannot be read: {cause}")]
    Unreadable {
        /// The run.
        run: String,
        /// Why.
        cause: String,
    },
    /// A step too large to store.
    #[error("a step of run {run} has {bytes} bytes of records, more than {limit} can be stored at once")]
    TooLarge {
        /// The run.
        run: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl LedgerError {
    /// Whether trying again in a moment can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Bus(error) => error.is_transient(),
            Self::Unreadable { .. } | Self::TooLarge { .. } => false,
        }
    }
}
