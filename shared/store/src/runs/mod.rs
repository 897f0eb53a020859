//! The list of runs: a SQL read model filled from the ledgers. It may be deleted at any time.

mod apply;
mod project;
mod query;
mod schema;

pub use project::Projector;
pub use query::{Filter, Row};

use ledger::LedgerError;
use sqlx::AnyPool;

/// The read model. Cheap to clone.
#[derive(Clone)]
pub struct Runs {
    pool: AnyPool,
    sqlite: bool,
}

impl Runs {
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }
}

/// What can go wrong with the read model.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The database.
    #[error("the read model's database failed while {what}: {source}")]
    Database {
        /// The operation.
        what: &'static str,
        /// Its cause.
        source: sqlx::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the read model's database {url}: {cause}; check GANTRY_DATABASE_URL")]
    Open {
        /// Where, without a password.
        url: String,
        /// Why.
        cause: String,
    },
    /// A stored step.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl RunsError {
    /// Whether the database itself said no, rather than being out of reach.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Database { source: sqlx::Error::Database(_), .. })
    }

    pub(crate) fn database(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }
}
