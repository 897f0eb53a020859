//! What models were used for, by whom: accounts from the bus, summed up by day in SQL. A read model like the run list.

mod account;
mod follow;
mod sums;

pub use account::{Account, AccountOutcome};
pub use sums::{Grouping, Only, Sum};

use crate::runs::{Runs, RunsError};
use sqlx::AnyPool;

/// The sums. Cheap to clone.
#[derive(Clone)]
pub struct UsageSums {
    pool: AnyPool,
}

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS gantry_usage (
        plane TEXT NOT NULL, day TEXT NOT NULL, tenant TEXT NOT NULL, key_name TEXT NOT NULL, model TEXT NOT NULL,
        requests BIGINT NOT NULL, failed BIGINT NOT NULL, aborted BIGINT NOT NULL, estimated BIGINT NOT NULL,
        tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL, tokens_cached BIGINT NOT NULL,
        first_token_ms BIGINT NOT NULL, first_tokens BIGINT NOT NULL, total_ms BIGINT NOT NULL,
        PRIMARY KEY (plane, day, tenant, key_name, model))",
    "CREATE TABLE IF NOT EXISTS gantry_usage_position (one BIGINT NOT NULL PRIMARY KEY, sequence BIGINT NOT NULL)",
];

impl UsageSums {
    /// In the same database as the run list.
    pub async fn open(runs: &Runs) -> Result<Self, RunsError> {
        let pool = runs.pool().clone();
        for table in TABLES {
            sqlx::query(table).execute(&pool).await.map_err(RunsError::database("making the tables of accounts"))?;
        }
        Ok(Self { pool })
    }
}
