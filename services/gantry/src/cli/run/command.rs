//! Commands to runs, and what became of them.

use super::super::output::text_of;
use super::super::{Client, Exit, Session, Trouble, plain};
use super::{Run, brief, find, object};
use clap::{Args, ValueEnum};
use domain::{CommandKind, Object};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How long the outcome of a command is waited for.
const OUTCOME_WITHIN: Duration = Duration::from_secs(5);
/// How long the gateway is asked to hold one question for the outcome.
const HOLD: Duration = Duration::from_secs(2);
/// Between questions, should the gateway answer at once that nothing is known.
const BETWEEN: Duration = Duration::from_millis(100);

/// Hold or end a run.
#[derive(Clone, Debug, Args)]
pub struct Steer {
    #[command(flatten)]
    run: Run,
    /// Why, for whoever reads the run later
    #[arg(long)]
    reason: Option<String>,
}

/// Let a run go on.
#[derive(Clone, Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    run: Run,
    /// What ends the wait, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    payload: Option<Object>,
    /// The answer to a question, in words
    #[arg(long, value_name = "TEXT", conflicts_with = "payload")]
    answer: Option<String>,
    /// Only if the run waits under this key
    #[arg(long, value_name = "KEY")]
    wait_key: Option<String>,
}

/// Who hears an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scope {
    /// Runs of the run's session
    Session,
    /// Runs of the run's workflow
    Workflow,
    /// The run
    Run,
    /// Every run
    Global,
}

/// Wake whoever waits for an event.
#[derive(Clone, Debug, Args)]
pub struct Emit {
    #[command(flatten)]
    run: Run,
    /// The event's name
    name: String,
    /// What it carries, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    payload: Option<Object>,
    /// Who hears it
    #[arg(long, value_enum, default_value_t = Scope::Session)]
    scope: Scope,
    /// The session, if it is not the run's
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
}

/// Holds or ends a run.
pub(super) async fn steer(kind: CommandKind, steer: Steer, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, &steer.run.run).await?;
    let payload = steer.reason.map_or(json!({}), |reason| json!({"reason": reason}));
    send(&client, kind, &id, payload, session).await
}

/// Lets a run go on, or ends its wait.
pub(super) async fn resume(resume: Resume, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, &resume.run.run).await?;
    let answer = resume.answer.map(|text| json!({"response": text}));
    let mut payload = match resume.payload.map(Value::Object).or(answer) {
        Some(inner) => json!({"payload": inner}),
        None => json!({}),
    };
    if let Some(key) = resume.wait_key {
        payload["wait_key"] = json!(key);
    }
    send(&client, CommandKind::Resume, &id, payload, session).await
}

/// Wakes whoever waits for an event.
pub(super) async fn emit(emit: Emit, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, &emit.run.run).await?;
    let run = find::run(&client, &id).await?;
    let scope = match emit.scope {
        Scope::Session => "session",
        Scope::Workflow => "workflow",
        Scope::Run => "run",
        Scope::Global => "global",
    };
    let payload = json!({
        "name": emit.name,
        "scope": scope,
        "session_id": emit.session.map_or(run["session_id"].clone(), Value::from),
        "workflow_id": run["workflow_id"],
        "run_id": id,
        "payload": emit.payload.unwrap_or_default(),
    });
    send(&client, CommandKind::EmitEvent, &id, payload, session).await
}

/// Sends a command and says what became of it.
pub(super) async fn send(
    client: &Client,
    kind: CommandKind,
    run: &str,
    payload: Value,
    session: &mut Session,
) -> Result<Exit, Trouble> {
    let what = format!("cannot {} run {}", kind.as_str().replace('_', " "), brief(run));
    let command_id = uuid::Uuid::new_v4().to_string();
    let body = json!({
        "command_id": command_id, "run_id": run, "type": kind.as_str(), "payload": payload, "client_id": "gantry-cli",
    });
    client.post(&["commands"], &body, &[]).await.map_err(|error| error.trouble(&what))?;
    let outcome = outcome(client, &command_id).await.map_err(|error| error.trouble(&what))?;
    let status = text_of(&outcome["status"]);
    if status == "refused" {
        let why = plain(&text_of(&outcome["reason"]));
        return Err(Trouble::new(what, why).next(format!("gantry run show {}", brief(run))));
    }
    let word = kind.as_str().replace('_', " ");
    let line = match (status.as_str(), outcome["cursor"].as_u64()) {
        ("applied", Some(cursor)) => format!("{word} applied to run {} at record {cursor}", brief(run)),
        ("applied", None) => format!("{word} applied to run {}", brief(run)),
        _ => format!("{word} accepted for run {}, not applied yet", brief(run)),
    };
    let note = outcome["reason"].as_str().or_else(|| outcome["note"].as_str()).map(plain);
    session.one(outcome, run, vec![line])?;
    if let Some(note) = note {
        session.screen.remark(&note);
    }
    Ok(Exit::Ok)
}

/// Asks for the outcome until there is one or the time is up; then the command is still accepted.
async fn outcome(client: &Client, command_id: &str) -> Result<Value, super::super::RequestError> {
    let until = Instant::now() + OUTCOME_WITHIN;
    let hold = [("wait_s", HOLD.as_secs().to_string())];
    loop {
        let answer = client.get(&["commands", command_id], &hold).await?;
        if answer["status"] != "accepted" || Instant::now() >= until {
            return Ok(answer);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}
