//! Writing rows: many runs in one statement, positions in the same transaction.

use super::{Runs, RunsError};
use domain::{Plane, RunStatus};
use ledger::Summary;
use sqlx::{Any, Transaction};
use std::fmt::Write;

/// Rows per statement, largest first: few shapes, so that the database parses each only once. SQLite takes 32,766
/// values in one.
const ROWS: [usize; 4] = [256, 32, 4, 1];
const COLUMNS: usize = 20;

/// A run as it stood after one stored step.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) plane: Plane,
    pub(crate) shard: u16,
    pub(crate) sequence: u64,
    pub(crate) summary: Summary,
}

impl Runs {
    /// Shows a run that was accepted and has no ledger yet. Its first step replaces the row.
    pub async fn announce(&self, plane: &Plane, summary: Summary) -> Result<(), RunsError> {
        self.apply(&[Change { plane: plane.clone(), shard: 0, sequence: 0, summary }], &[]).await
    }

    /// Takes in changes (at most one per run) and the positions they were read up to. Older news than what is there
    /// changes nothing, so the same changes again are harmless.
    pub(crate) async fn apply(&self, changes: &[Change], positions: &[(u16, u64)]) -> Result<(), RunsError> {
        let mut transaction = self.pool.begin().await.map_err(RunsError::database("beginning a transaction"))?;
        let mut left = changes;
        while !left.is_empty() {
            let size = ROWS.into_iter().find(|size| *size <= left.len()).unwrap_or(1);
            let (rows, rest) = left.split_at(size);
            write_rows(&mut transaction, rows).await?;
            left = rest;
        }
        for (shard, sequence) in positions {
            sqlx::query(
                "INSERT INTO gantry_positions (shard, sequence) VALUES ($1, $2)
                 ON CONFLICT (shard) DO UPDATE SET sequence = excluded.sequence
                 WHERE excluded.sequence > gantry_positions.sequence",
            )
            .bind(i64::from(*shard))
            .bind(signed(*sequence))
            .execute(&mut *transaction)
            .await
            .map_err(RunsError::database("writing a position"))?;
        }
        transaction.commit().await.map_err(RunsError::database("committing"))
    }

    /// Where reading of a shard goes on.
    pub(crate) async fn position(&self, shard: u16) -> Result<u64, RunsError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT sequence FROM gantry_positions WHERE shard = $1")
            .bind(i64::from(shard))
            .fetch_optional(&self.pool)
            .await
            .map_err(RunsError::database("reading a position"))?;
        Ok(found.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
    }

    /// Forgets runs.
    pub async fn remove(&self, plane: &Plane, runs: &[domain::RunId]) -> Result<(), RunsError> {
        for run in runs {
            sqlx::query("DELETE FROM gantry_runs WHERE plane = $1 AND run_id = $2")
                .bind(plane.to_string())
                .bind(run.as_str())
                .execute(&self.pool)
                .await
                .map_err(RunsError::database("removing a run"))?;
        }
        Ok(())
    }
}

async fn write_rows(transaction: &mut Transaction<'_, Any>, rows: &[Change]) -> Result<(), RunsError> {
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement(rows.len())));
    for row in rows {
        let run = &row.summary;
        let lifecycle = run.vars.lifecycle.as_ref();
        let draft = lifecycle.and_then(|value| value.get("purpose")).is_some_and(|purpose| purpose == "draft_test");
        let wait = run.waiting.as_ref().filter(|_| run.status == RunStatus::Waiting);
        query = query
            .bind(row.plane.to_string())
            .bind(text(run.run_id.as_str()))
            .bind(i64::from(row.shard))
            .bind(signed(row.sequence))
            .bind(text(run.workflow_id.as_str()))
            .bind(run.status.as_str().to_owned())
            .bind(run.created_at.to_string())
            .bind(run.updated_at.to_string())
            .bind(text(&run.actor_id))
            .bind(text(run.session_id.as_str()))
            .bind(run.parent_run_id.as_ref().map(|parent| text(parent.as_str())))
            .bind(run.error.as_deref().map(text))
            .bind(wait.map(|wait| wait.reason.as_str().to_owned()))
            .bind(wait.and_then(|wait| wait.until).map(|until| until.to_string()))
            .bind(signed(run.cursor))
            .bind(signed(run.counts.values().sum()))
            .bind(lifecycle.map(ToString::to_string))
            .bind(i64::from(draft))
            .bind(i64::from(run.workflow_id.as_str().starts_with("__")))
            .bind(serde_json::to_string(&run.counts).unwrap_or_default());
    }
    query.execute(&mut **transaction).await.map(|_| ()).map_err(RunsError::database("writing runs"))
}

fn statement(rows: usize) -> String {
    let mut text = String::from(
        "INSERT INTO gantry_runs (plane, run_id, shard, sequence, workflow_id, status, created_at, updated_at,
         actor_id, session_id, parent_run_id, error, wait_reason, wait_until, ledger_len, steps, lifecycle, is_draft,
         is_internal, counts) VALUES ",
    );
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..COLUMNS {
            let _ = write!(text, "{}${}", if column == 0 { "" } else { ", " }, row * COLUMNS + column + 1);
        }
        text.push(')');
    }
    text.push_str(
        " ON CONFLICT (plane, run_id) DO UPDATE SET shard = excluded.shard, sequence = excluded.sequence,
         workflow_id = excluded.workflow_id, status = excluded.status, updated_at = excluded.updated_at,
         parent_run_id = excluded.parent_run_id, error = excluded.error, wait_reason = excluded.wait_reason,
         wait_until = excluded.wait_until, ledger_len = excluded.ledger_len, steps = excluded.steps,
         lifecycle = excluded.lifecycle, is_draft = excluded.is_draft, counts = excluded.counts
         WHERE excluded.sequence > gantry_runs.sequence",
    );
    text
}

/// PostgreSQL has no texts with the character zero, and an error message may hold anything.
fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
