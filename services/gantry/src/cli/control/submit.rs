//! `gantry submit`.

use super::super::{Exit, Session, Trouble};
use super::{client, job, text, trouble};
use clap::Args;
use serde_json::{Value, json};
use std::io::Read;
use std::path::PathBuf;

/// What is submitted.
#[derive(Clone, Debug, Args)]
pub struct Submit {
    /// The type of service that can do it
    service_type: String,
    /// A file with the payload as JSON; `-` is standard input
    #[arg(required_unless_present = "payload")]
    file: Option<PathBuf>,
    /// The payload itself
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    payload: Option<String>,
    /// Lower is more urgent
    #[arg(short, long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// The one service that may do it
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Where its end is told
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
    /// Seconds that it may wait
    #[arg(long, value_name = "SECONDS", conflicts_with = "forever")]
    ttl: Option<u64>,
    /// Let it wait for ever
    #[arg(long)]
    forever: bool,
    /// Attempts that may fail before it does
    #[arg(long, value_name = "COUNT")]
    max_attempts: Option<u32>,
    /// The same key again is the same job
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Only say where it would go and how long it would wait
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until it has ended; prints its result
    #[arg(long)]
    wait: bool,
}

/// Submits a job, or says what would become of it.
pub(super) async fn run(submit: Submit, session: &mut Session) -> Result<Exit, Trouble> {
    let what = format!("cannot submit to '{}'", submit.service_type);
    let payload = payload(&submit).map_err(|why| Trouble::usage(&what, why))?;
    let mut body = json!({"service_type": submit.service_type, "payload": payload});
    let given = [
        ("priority", json!(submit.priority)),
        ("service_name", json!(submit.service)),
        ("callback_url", json!(submit.callback)),
        ("ttl_seconds", json!(submit.ttl)),
        ("max_attempts", json!(submit.max_attempts)),
        ("idempotency_key", json!(submit.idempotency_key)),
    ];
    for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
        body[key] = value;
    }
    if submit.forever {
        body["ttl_seconds"] = Value::Null;
    }
    let client = client(session)?;
    let query = [("dry_run", submit.dry_run.to_string())];
    let answer = client.post_query(&["queue", "submit"], &query, &body).await;
    let answer = answer.map_err(|error| trouble(&error, what))?;
    if submit.dry_run {
        return would(answer, session);
    }
    let id = text(&answer, "job_id");
    if submit.wait {
        session.screen.remark(&format!("job {id} is submitted"));
        return job::until_end(&client, &id, None, session).await;
    }
    let (warning, position) = (text(&answer, "warning"), text(&answer, "position"));
    session.one(answer, &id, vec![id.clone()])?;
    if !warning.is_empty() {
        session.screen.remark(&warning);
    } else if !position.is_empty() {
        session.screen.remark(&format!("position {position}; `gantry job wait {id}` waits for its end"));
    }
    Ok(Exit::Ok)
}

fn would(answer: Value, session: &mut Session) -> Result<Exit, Trouble> {
    let line = if answer["would_start"] == true {
        "it would start at once".to_owned()
    } else {
        format!("it would wait: {}", text(&answer["waiting"], "text"))
    };
    let wait = text(&answer, "estimated_wait");
    session.one(answer, "", vec![line])?;
    if !wait.is_empty() {
        session.screen.remark(&format!("expected wait: {wait}"));
    }
    Ok(Exit::Ok)
}

fn payload(submit: &Submit) -> Result<Value, String> {
    let (from, text) = match (&submit.payload, &submit.file) {
        (Some(text), _) => ("the payload".to_owned(), text.clone()),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
            ("standard input".to_owned(), text)
        }
        (None, Some(file)) => {
            let from = file.display().to_string();
            (from.clone(), std::fs::read_to_string(file).map_err(|error| format!("{from}: {error}"))?)
        }
        (None, None) => return Err("the payload is missing".to_owned()),
    };
    serde_json::from_str(&text).map_err(|error| format!("{from} is not JSON: {error}"))
}
