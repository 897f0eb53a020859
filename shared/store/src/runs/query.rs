//! Reading lists.

use super::{Runs, RunsError};
use domain::{Plane, RunId};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

/// A run as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The run.
    pub run_id: String,
    /// What it executes.
    pub workflow_id: String,
    /// Where it stands.
    pub status: String,
    /// When it was accepted.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// Who runs it.
    pub actor_id: String,
    /// Its session.
    pub session_id: String,
    /// The run that started it.
    pub parent_run_id: Option<String>,
    /// Why it failed or was cancelled.
    pub error: Option<String>,
    /// What it waits for.
    pub wait_reason: Option<String>,
    /// Until when.
    pub wait_until: Option<String>,
    /// Records in its ledger.
    pub ledger_len: u64,
    /// The lifecycle a client gave it, as JSON.
    pub lifecycle: Option<String>,
    /// Whether it is a draft test.
    pub is_draft: bool,
    /// Effects by type, as JSON.
    pub counts: String,
}

/// Which runs a list is to show. Newest change first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At most so many.
    pub limit: u32,
    /// Of this status.
    pub status: Option<String>,
    /// Of exactly this workflow; also shows internal ones.
    pub workflow_id: Option<String>,
    /// Of this session.
    pub session_id: Option<String>,
    /// Children of this run.
    pub parent_run_id: Option<String>,
    /// Only runs without a parent.
    pub root_only: bool,
    /// Draft tests as well.
    pub include_drafts: bool,
    /// Draft tests alone.
    pub drafts_only: bool,
}

const COLUMNS: &str = "run_id, workflow_id, status, created_at, updated_at, actor_id, session_id, parent_run_id, error,
     wait_reason, wait_until, ledger_len, lifecycle, is_draft, counts";

impl Runs {
    /// Runs of a plane, newest change first.
    pub async fn list(&self, plane: &Plane, filter: &Filter) -> Result<Vec<Row>, RunsError> {
        let mut text = format!("SELECT {COLUMNS} FROM gantry_runs WHERE plane = $1 AND status <> 'removed'");
        let mut values = vec![plane.to_string()];
        let equal = [
            ("status", &filter.status),
            ("workflow_id", &filter.workflow_id),
            ("session_id", &filter.session_id),
            ("parent_run_id", &filter.parent_run_id),
        ];
        for (column, value) in equal {
            if let Some(value) = value {
                values.push(value.clone());
                text.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        if filter.workflow_id.is_none() {
            text.push_str(" AND is_internal = 0");
        }
        if filter.root_only {
            text.push_str(" AND parent_run_id IS NULL");
        }
        if filter.drafts_only {
            text.push_str(" AND is_draft = 1");
        } else if !filter.include_drafts {
            text.push_str(" AND is_draft = 0");
        }
        text.push_str(&format!(" ORDER BY updated_at DESC, run_id LIMIT {}", filter.limit));
        let mut query = sqlx::query(AssertSqlSafe(text));
        for value in values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(&self.pool).await.map_err(RunsError::database("listing runs"))?;
        rows.iter().map(parse).collect()
    }

    /// How many runs it holds, all planes.
    pub async fn count(&self) -> Result<u64, RunsError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM gantry_runs WHERE status <> 'removed'")
            .fetch_one(&self.pool)
            .await
            .map_err(RunsError::database("counting runs"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// One run.
    pub async fn find(&self, plane: &Plane, run: &RunId) -> Result<Option<Row>, RunsError> {
        let text =
            format!("SELECT {COLUMNS} FROM gantry_runs WHERE plane = $1 AND run_id = $2 AND status <> 'removed'");
        let row = sqlx::query(AssertSqlSafe(text))
            .bind(plane.to_string())
            .bind(run.as_str().to_owned())
            .fetch_optional(&self.pool)
            .await
            .map_err(RunsError::database("reading a run"))?;
        row.as_ref().map(parse).transpose()
    }

    /// A run's descendants at any depth, oldest first, at most `limit`; the run itself is not among them.
    pub async fn descendants(&self, plane: &Plane, run: &RunId, limit: u32) -> Result<Vec<Row>, RunsError> {
        let text = format!(
            "WITH RECURSIVE tree(id) AS (
               SELECT run_id FROM gantry_runs WHERE plane = $1 AND parent_run_id = $2
               UNION SELECT child.run_id FROM gantry_runs child JOIN tree ON child.parent_run_id = tree.id
               WHERE child.plane = $1)
             SELECT {COLUMNS} FROM gantry_runs WHERE plane = $1 AND run_id IN (SELECT id FROM tree)
             AND status <> 'removed'
             ORDER BY created_at, run_id LIMIT {limit}"
        );
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(plane.to_string())
            .bind(run.as_str().to_owned())
            .fetch_all(&self.pool)
            .await
            .map_err(RunsError::database("reading a run's tree"))?;
        rows.iter().map(parse).collect()
    }
}

fn parse(row: &AnyRow) -> Result<Row, RunsError> {
    let get = || -> Result<Row, sqlx::Error> {
        Ok(Row {
            run_id: row.try_get("run_id")?,
            workflow_id: row.try_get("workflow_id")?,
            status: row.try_get("status")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            actor_id: row.try_get("actor_id")?,
            session_id: row.try_get("session_id")?,
            parent_run_id: row.try_get("parent_run_id")?,
            error: row.try_get("error")?,
            wait_reason: row.try_get("wait_reason")?,
            wait_until: row.try_get("wait_until")?,
            ledger_len: u64::try_from(row.try_get::<i64, _>("ledger_len")?).unwrap_or(0),
            lifecycle: row.try_get("lifecycle")?,
            is_draft: row.try_get::<i64, _>("is_draft")? != 0,
            counts: row.try_get("counts")?,
        })
    };
    get().map_err(RunsError::database("reading a row"))
}
