//! `POST /runs/purge_drafts`: expired, ephemeral draft runs go, with everything below them.

use crate::api::now;
use crate::error::ok;
use crate::input::Input;
use crate::runs::lifecycle::{Kept, Policy, expires_at, removable};
use crate::{Api, ApiError, PlaneData};
use axum::response::Response;
use domain::{Object, RunId, RunStatus, Time};
use serde_json::{Value, json};
use std::time::Duration;
use store::runs::{Filter, Row};

/// Runs below one draft that go with it.
const DESCENDANTS: u32 = 5_000;
/// Runs that one request may name.
const NAMED: usize = 5_000;

#[derive(Default)]
struct Outcome {
    eligible: u64,
    purged: u64,
    skipped: u64,
    items: Vec<Value>,
}

/// Removes what may go, or says what would.
pub(super) async fn purge(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let policy = Policy {
        now: now(),
        default_ttl: api.config.draft_ttl,
        force: input.flag("force"),
        include_active: input.flag("include_active"),
    };
    api.settle_lists().await;
    let (rows, missing) = candidates(&api, data, &input).await?;
    let scanned = rows.len() + missing.len();
    let dry_run = input.flag("dry_run");
    let mut outcome = Outcome::default();
    for row in &rows {
        judge(&api, data, row, &policy, dry_run, &mut outcome).await?;
    }
    for run in missing {
        outcome.skipped += 1;
        outcome.items.push(json!({"run_id": run, "eligible": false, "reason": "missing"}));
    }
    Ok(ok(&json!({
        "ok": true,
        "dry_run": dry_run,
        "policy": described(policy.default_ttl),
        "scanned": scanned,
        "eligible": outcome.eligible,
        "purged": outcome.purged,
        "skipped": outcome.skipped,
        "items": outcome.items,
    })))
}

fn described(ttl: Duration) -> Value {
    json!({
        "purpose": "draft_test",
        "retention_mode": "ephemeral",
        "default_ttl_s": ttl.as_secs(),
        "terminal_statuses": ["cancelled", "completed", "failed"],
    })
}

/// The runs to look at, and those that were named and do not exist.
async fn candidates(api: &Api, data: &PlaneData, input: &Input) -> Result<(Vec<Row>, Vec<String>), ApiError> {
    let text = |name: &str| input.word(name).map(str::to_owned);
    let Some(named) = input.list("run_ids") else {
        let filter = Filter {
            limit: u32::try_from(input.count("limit")).unwrap_or(200),
            session_id: text("session_id"),
            workflow_id: text("workflow_id"),
            root_only: true,
            drafts_only: true,
            ..Filter::default()
        };
        return Ok((api.parts.runs.list(&data.plane, &filter).await?, Vec::new()));
    };
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for run in named.iter().filter_map(Value::as_str).take(NAMED) {
        match api.parts.runs.find(&data.plane, &RunId::new(run)).await? {
            Some(row) => rows.push(row),
            None => missing.push(run.to_owned()),
        }
    }
    Ok((rows, missing))
}

async fn judge(
    api: &Api,
    data: &PlaneData,
    row: &Row,
    policy: &Policy,
    dry_run: bool,
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let lifecycle: Option<Value> = row.lifecycle.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let updated_at: Time = row.updated_at.parse().unwrap_or(policy.now);
    let status = RunStatus::parse(&row.status).unwrap_or(RunStatus::Running);
    let verdict = match row.parent_run_id {
        Some(_) => Err(Kept::NotEphemeral),
        None => removable(lifecycle.as_ref(), status, updated_at, policy),
    };
    let mut item = Object::new();
    let mut put = |key: &str, value: Value| drop(item.insert(key.to_owned(), value));
    put("run_id", json!(row.run_id));
    put("status", json!(row.status));
    put("workflow_id", json!(row.workflow_id));
    put("session_id", json!(row.session_id));
    put("run_lifecycle", json!(lifecycle));
    if let Some(expiry) = lifecycle.as_ref().and_then(|value| expires_at(value, updated_at, policy.default_ttl)) {
        put("effective_expires_at", json!(expiry));
    }
    put("eligible", verdict.is_ok().into());
    match verdict {
        Err(kept) => {
            outcome.skipped += 1;
            put("reason", kept.as_str().into());
        }
        Ok(()) => {
            outcome.eligible += 1;
            outcome.purged += u64::from(!dry_run);
            put("purge", remove(api, data, row, dry_run).await?);
        }
    }
    outcome.items.push(Value::Object(item));
    Ok(())
}

/// Removes a run and everything below it, children first, so that a failure in between leaves the root to try again.
async fn remove(api: &Api, data: &PlaneData, row: &Row, dry_run: bool) -> Result<Value, ApiError> {
    let root = RunId::new(row.run_id.as_str());
    let below = api.parts.runs.descendants(&data.plane, &root, DESCENDANTS).await?;
    let records: u64 = row.ledger_len + below.iter().map(|row| row.ledger_len).sum::<u64>();
    let mut runs = vec![root];
    runs.extend(below.into_iter().map(|row| RunId::new(row.run_id)));
    if dry_run {
        let would = json!({"runs": runs.len(), "workspaces": 0, "artifacts": null, "ledger_records": records, "commands": null});
        return Ok(json!({"ok": true, "dry_run": true, "run_ids": runs, "would_delete": would}));
    }
    for run in runs.iter().rev() {
        api.recent.forget(&data.plane, run);
        data.inbox.purge(run).await?;
        let end = data.ledger.purge(run).await?;
        api.parts.runs.remove(&data.plane, run, end, now()).await?;
    }
    let deleted =
        json!({"runs": runs.len(), "ledger_records": records, "commands": 0, "artifacts": 0, "workspaces": 0});
    Ok(json!({"ok": true, "dry_run": false, "run_ids": runs, "deleted": deleted}))
}
