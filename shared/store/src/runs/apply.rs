//! Writing rows: many runs in one statement, positions in the same transaction.

use super::{Runs, RunsError};
use domain::{Plane, RunId, RunStatus, Time};
use ledger::Summary;
use sqlx::{Any, Transaction};
use std::fmt::Write;

/// Rows per statement, largest first: few shapes, so that the database parses each only once, and none so large that
/// keeping it parsed takes much memory.
const ROWS: [usize; 4] = [64, 16, 4, 1];
const COLUMNS: usize = 20;
/// How long a removed run is remembered: a process that has not read its shard for a day reads it anew.
const REMEMBERED_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// A run as it stood after one stored step.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) plane: Plane,
    pub(crate) shard: u16,
    pub(crate) sequence: u64,
    pub(crate) summary: Summary,
}

impl Runs {
    /// Takes in changes (at most one per run) and the positions they were read up to. Older news than what is there
    /// changes nothing, so the same changes again are harmless.
    pub(crate) async fn apply(&self, changes: &[Change], positions: &[(u16, u64)]) -> Result<(), RunsError> {
        let mut transaction = self.pool.begin().await.map_err(RunsError::database("beginning a transaction"))?;
        let mut left = changes;
        while !left.is_empty() {
            let size = ROWS.into_iter().find(|size| *size <= left.len()).unwrap_or(1);
            let (rows, rest) = left.split_at(size);
            write_rows(&mut transaction, rows, self.sqlite).await?;
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

    /// Forgets a run whose steps all lie at or before `end`. Its row stays for a while, shown to nobody: a process that
    /// is behind may still be about to write one of those steps.
    pub async fn remove(&self, plane: &Plane, run: &RunId, end: u64, now: Time) -> Result<(), RunsError> {
        sqlx::query(
            "UPDATE gantry_runs SET status = 'removed', sequence = $3, updated_at = $4, error = NULL, lifecycle = NULL
             WHERE plane = $1 AND run_id = $2",
        )
        .bind(plane.to_string())
        .bind(run.as_str())
        .bind(signed(end))
        .bind(now.to_string())
        .execute(&self.pool)
        .await
        .map_err(RunsError::database("removing a run"))?;
        sqlx::query("DELETE FROM gantry_runs WHERE plane = $1 AND status = 'removed' AND updated_at < $2")
            .bind(plane.to_string())
            .bind(now.plus_micros(-REMEMBERED_MICROS).to_string())
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(RunsError::database("removing a run"))
    }
}

async fn write_rows(transaction: &mut Transaction<'_, Any>, rows: &[Change], sqlite: bool) -> Result<(), RunsError> {
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement(rows.len(), sqlite)));
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

/// A numbered value is a named one to SQLite, and each of many names is looked for among all of them.
fn statement(rows: usize, sqlite: bool) -> String {
    let mut text = String::from(
        "INSERT INTO gantry_runs (plane, run_id, shard, sequence, workflow_id, status, created_at, updated_at,
         actor_id, session_id, parent_run_id, error, wait_reason, wait_until, ledger_len, steps, lifecycle, is_draft,
         is_internal, counts) VALUES ",
    );
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..COLUMNS {
            text.push_str(if column == 0 { "" } else { ", " });
            let _ = if sqlite { write!(text, "?") } else { write!(text, "${}", row * COLUMNS + column + 1) };
        }
        text.push(')');
    }
    text.push_str(
        " ON CONFLICT (plane, run_id) DO UPDATE SET shard = excluded.shard, sequence = excluded.sequence,
         workflow_id = excluded.workflow_id, status = excluded.status, created_at = excluded.created_at,
         updated_at = excluded.updated_at,
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Object, Source, StartRun};

    #[tokio::test]
    async fn no_step_from_before_its_removal_brings_a_run_back() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::open(&format!("sqlite://{}/runs.db", folder.path().display())).await.unwrap();
        let (plane, run, now) = (Plane::main(), RunId::new("r"), Time::from_micros(1_800_000_000_000_000));
        let start = StartRun {
            run_id: run.clone(),
            workflow_id: "b@1:main".into(),
            source: Source::Bundle { sha256: "0".to_owned() },
            vars: Object::new(),
            session_id: "s".into(),
            actor_id: "gateway".to_owned(),
            parent_run_id: None,
            report_to_parent: false,
            created_at: now,
            request_digest: None,
        };
        let summary = Summary::of(&flow::start(&start, ""));
        let step = |sequence| Change { plane: plane.clone(), shard: 0, sequence, summary: summary.clone() };
        runs.apply(&[step(5)], &[]).await.unwrap();
        runs.remove(&plane, &run, 7, now).await.unwrap();
        for late in [step(0), step(6), step(7)] {
            runs.apply(&[late], &[]).await.unwrap();
            assert!(runs.find(&plane, &run).await.unwrap().is_none());
        }
        runs.apply(&[step(8)], &[]).await.unwrap();
        assert!(runs.find(&plane, &run).await.unwrap().is_some(), "the same id may begin again");
        runs.remove(&plane, &run, 9, now).await.unwrap();
        runs.remove(&plane, &RunId::new("other"), 9, now.plus_micros(2 * REMEMBERED_MICROS)).await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM gantry_runs").fetch_one(runs.pool()).await.unwrap();
        assert_eq!(rows, 0, "what was removed long ago is forgotten");
    }
}
