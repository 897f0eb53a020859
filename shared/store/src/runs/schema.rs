//! Opening the database and its tables.

use super::{Runs, RunsError};
use sqlx::any::AnyPoolOptions;

/// Rises when the tables change shape; an older database is emptied and filled again.
const VERSION: i64 = 1;

const TABLES: [&str; 9] = [
    "CREATE TABLE IF NOT EXISTS gantry_runs (
        plane TEXT NOT NULL, run_id TEXT NOT NULL, shard BIGINT NOT NULL, sequence BIGINT NOT NULL,
        workflow_id TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        actor_id TEXT NOT NULL, session_id TEXT NOT NULL, parent_run_id TEXT, error TEXT,
        wait_reason TEXT, wait_until TEXT, ledger_len BIGINT NOT NULL, steps BIGINT NOT NULL,
        lifecycle TEXT, is_draft BIGINT NOT NULL, is_internal BIGINT NOT NULL, counts TEXT NOT NULL,
        PRIMARY KEY (plane, run_id))",
    "CREATE INDEX IF NOT EXISTS gantry_runs_updated ON gantry_runs (plane, is_draft, is_internal, updated_at, run_id)",
    "CREATE INDEX IF NOT EXISTS gantry_runs_status ON gantry_runs (plane, status, updated_at)",
    "CREATE INDEX IF NOT EXISTS gantry_runs_session ON gantry_runs (plane, session_id, updated_at)",
    "CREATE INDEX IF NOT EXISTS gantry_runs_workflow ON gantry_runs (plane, workflow_id, updated_at)",
    "CREATE INDEX IF NOT EXISTS gantry_runs_parent ON gantry_runs (plane, parent_run_id)",
    "CREATE INDEX IF NOT EXISTS gantry_runs_drafts ON gantry_runs (plane, is_draft, updated_at)",
    "CREATE TABLE IF NOT EXISTS gantry_positions (shard BIGINT NOT NULL PRIMARY KEY, sequence BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS gantry_schema (version BIGINT NOT NULL PRIMARY KEY)",
];

/// The directory of a database that is a file: on a fresh machine nobody has made it yet.
fn directory(url: &str) -> Option<&std::path::Path> {
    let file = url.strip_prefix("sqlite://")?.split('?').next()?;
    std::path::Path::new(file).parent()
}

impl Runs {
    /// Opens (and makes, when it is not there) the database: `sqlite://path/to/file.db` or `postgres://…`.
    pub async fn open(url: &str) -> Result<Self, RunsError> {
        sqlx::any::install_default_drivers();
        let shown = shown(url);
        let fail = |cause: String| RunsError::Open { url: shown.clone(), cause };
        let sqlite = url.starts_with("sqlite:");
        let full = if sqlite && !url.contains('?') { format!("{url}?mode=rwc") } else { url.to_owned() };
        if let Some(directory) = directory(url) {
            tokio::fs::create_dir_all(directory).await.map_err(|error| fail(error.to_string()))?;
        }
        let pool = AnyPoolOptions::new()
            // SQLite has one writer; a second connection lists meanwhile. Each has a thread and megabytes of its own.
            .max_connections(if sqlite { 2 } else { 8 })
            .acquire_timeout(std::time::Duration::from_secs(10))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        // Nothing is lost with this database, so it need not be synced. The system caches the file; a
                        // megabyte (the pragma counts in KiB) of our own for each connection is enough.
                        for pragma in [
                            "PRAGMA journal_mode = WAL",
                            "PRAGMA synchronous = OFF",
                            "PRAGMA busy_timeout = 5000",
                            "PRAGMA cache_size = -1024",
                        ] {
                            sqlx::query(pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            })
            .connect(&full)
            .await
            .map_err(|error| fail(error.to_string()))?;
        let runs = Self { pool, sqlite };
        runs.prepare().await?;
        Ok(runs)
    }

    async fn prepare(&self) -> Result<(), RunsError> {
        for table in TABLES {
            sqlx::query(table).execute(&self.pool).await.map_err(RunsError::database("making its tables"))?;
        }
        let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM gantry_schema")
            .fetch_one(&self.pool)
            .await
            .map_err(RunsError::database("reading its version"))?;
        if found != Some(VERSION) {
            self.clear().await?;
            sqlx::query("INSERT INTO gantry_schema (version) VALUES ($1) ON CONFLICT (version) DO NOTHING")
                .bind(VERSION)
                .execute(&self.pool)
                .await
                .map_err(RunsError::database("writing its version"))?;
        }
        Ok(())
    }

    /// Empties it, so that the projector fills it again from the ledgers' beginning.
    pub async fn clear(&self) -> Result<(), RunsError> {
        for statement in ["DELETE FROM gantry_runs", "DELETE FROM gantry_positions", "DELETE FROM gantry_schema"] {
            sqlx::query(statement).execute(&self.pool).await.map_err(RunsError::database("emptying it"))?;
        }
        Ok(())
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}
