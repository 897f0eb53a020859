//! `/commands`: accepted once and for ever, applied in order, and their outcomes read.

use crate::api::now;
use crate::error::ok;
use crate::input::{Input, trace};
use crate::{Api, ApiError, PlaneData};
use axum::response::Response;
use bus::LoggedCommand;
use domain::{Command, CommandId, CommandKind, CommandOutcome, RunId, Verdict};
use ledger::Feed;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const TYPES: &str = "type must be one of pause|resume|cancel|emit_event|update_schedule|compact_memory";
/// Outcomes of commands without a ledger step are looked for again after pauses that grow to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// `POST /commands`
pub(super) async fn submit(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let kind =
        CommandKind::parse(input.text("type").unwrap_or_default()).ok_or_else(|| ApiError::bad_request(TYPES))?;
    let given = input.word("command_id").map(str::to_owned);
    let command = Command {
        command_id: CommandId::new(given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())),
        run_id: RunId::new(input.text("run_id").unwrap_or_default()),
        kind,
        payload: input.object("payload").cloned().unwrap_or_default(),
        ts: input.text("ts").map(str::to_owned),
        client_id: input.text("client_id").map(str::to_owned),
        accepted_at: now(),
    };
    let accepted = data.commands.accept(&command, &trace(&input)).await?;
    Ok(ok(&json!({"accepted": !accepted.duplicate, "duplicate": accepted.duplicate, "seq": accepted.seq})))
}

/// `GET /commands/{command_id}`
pub(super) async fn outcome(api: Api, input: Input) -> Result<Response, ApiError> {
    let data = api.plane(&input.principal);
    let id = CommandId::new(input.path("command_id"));
    let logged = data.commands.find(&id).await?;
    let logged = logged.ok_or_else(|| ApiError::not_found(format!("Command '{id}' not found")))?;
    let patience = Duration::from_secs(input.count("wait_s"));
    let outcome = wait(data, &api.parts.feed, &logged, patience).await?;
    Ok(ok(&shown(&logged, outcome.as_ref())))
}

/// The outcome, waited for at most so long. Commands that change a run have theirs in a ledger step, which the feed
/// brings at once; others are looked for again.
async fn wait(
    data: &PlaneData,
    feed: &Feed,
    logged: &LoggedCommand,
    patience: Duration,
) -> Result<Option<CommandOutcome>, ApiError> {
    let id = &logged.command.command_id;
    let deadline = Instant::now() + patience;
    let mut live = feed.subscribe(&data.plane, &logged.command.run_id);
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(outcome) = data.outcomes.find(id).await? {
            return Ok(Some(outcome));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if let Ok(Ok(step)) = timeout(pause.min(left), live.next()).await {
            let settled = step.outcomes.iter().find(|settled| settled.command_id == *id);
            if let Some(settled) = settled {
                return Ok(Some(settled.outcome.clone()));
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn shown(logged: &LoggedCommand, outcome: Option<&CommandOutcome>) -> Value {
    let command = &logged.command;
    let mut answer = json!({
        "command_id": command.command_id,
        "seq": logged.seq,
        "type": command.kind,
        "run_id": command.run_id,
        "accepted_at": command.accepted_at,
        "status": "accepted",
    });
    let Some(outcome) = outcome else { return answer };
    let (status, key, text) = match &outcome.verdict {
        Verdict::Applied { note } => ("applied", "note", note.clone()),
        Verdict::Refused { reason } => ("refused", "reason", Some(reason.clone())),
    };
    answer["status"] = status.into();
    answer["applied_at"] = json!(outcome.applied_at);
    answer["applied_to"] = json!(outcome.run_id);
    answer["cursor"] = outcome.cursor.into();
    if let Some(text) = text {
        answer[key] = text.into();
    }
    answer
}
