//! Model requests that became jobs, as their caller sees them: the jobs whose ids begin with `job_`.

use super::super::output::{Column, pretty, text_of};
use super::super::sse::Parser;
use super::super::{Client, Exit, RequestError, Session, Trouble, short, when};
use super::job::JobCommand;
use super::jobs::Jobs;
use super::listing::Listing;
use super::{client, text};
use domain::deferred::{DeferredStatus, is_id};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Jobs on a page, at most.
const MOST: u32 = 100;
/// Silence for so long means that the connection is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// Connections that may break before a wait is given up.
const MOST_BREAKS: u32 = 20;
/// Pause before the next connection.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether that is the id of a model request, or its beginning, and not that of a job of a GPU service.
pub(super) fn is_meant(id: &str) -> bool {
    id.starts_with("job_")
}

/// Lists them, newest first.
pub(super) async fn list(list: &Jobs, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let given = [("status", list.status.clone()), ("after", list.cursor.clone())];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let listing = Listing {
        path: &["v1", "jobs"],
        query: given.chain([("limit", list.limit.min(MOST).to_string())]).collect(),
        what: "cannot list the model requests",
        items: |answer| answer["data"].as_array_mut().map(std::mem::take).unwrap_or_default(),
        columns,
        name: "id",
        none: "no model request of yours is a job; one becomes it with the header `Prefer: respond-async`",
    };
    let mut answer = client.get(listing.path, &listing.query).await.map_err(|error| trouble(&error, listing.what))?;
    let items = (listing.items)(&mut answer);
    let is_empty = items.is_empty();
    listing.print(items, session)?;
    if is_empty {
        session.screen.remark(listing.none);
    }
    if answer["has_more"] == true {
        session.screen.remark(&format!("there are more: gantry jobs --requests --cursor {}", text(&answer, "last_id")));
    }
    Ok(Exit::Ok)
}

fn columns(_: bool) -> Vec<Column> {
    vec![
        Column::text("JOB", "id"),
        Column::text("STATUS", "status"),
        Column::text("MODEL", "model"),
        Column::text("ENDPOINT", "endpoint"),
        Column::text("POSITION", "position"),
        Column::text("ATTEMPT", "attempt"),
        Column::new("AGE", |job| age(&job["created_at"])),
        Column::wide("WAITS FOR", |job| short(&text_of(&job["waiting_for"]), 60)),
        Column::wide("ERROR", |job| short(&text_of(&job["error"]["message"]), 60)),
    ]
}

fn age(seconds: &Value) -> String {
    seconds.as_i64().map_or(String::new(), |then| when::rough(when::now().as_micros() - then.saturating_mul(1_000_000)))
}

/// Carries out a command on one of them.
pub(super) async fn run(command: &JobCommand, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let id = find(&client, command.job()).await?;
    match command {
        JobCommand::Show(_) | JobCommand::Explain(_) => show(&client, &id, session).await,
        JobCommand::Wait { timeout, .. } => until_end(&client, &id, *timeout, false, session).await,
        JobCommand::Watch(_) => until_end(&client, &id, None, true, session).await,
        JobCommand::Result(_) => result(&client, &["v1", "jobs", &id, "result"], &id, session).await,
        JobCommand::Cancel(_) => {
            let job = client.delete(&["v1", "jobs", &id], &[]).await;
            let job = job.map_err(|error| trouble(&error, &format!("cannot cancel {id}")))?;
            session.one(job, &id, vec![format!("{id} is cancelled")])?;
            Ok(Exit::Ok)
        }
        JobCommand::Progress(_) | JobCommand::Priority { .. } | JobCommand::Resume(_) => {
            let why = "it is a model request: those have neither progress nor a priority of their own, and never pause";
            Err(Trouble::usage(format!("cannot do that with {id}"), why).next(format!("gantry job show {id}")))
        }
    }
}

async fn find(client: &Client, meant: &str) -> Result<String, Trouble> {
    if is_id(meant) {
        return Ok(meant.to_owned());
    }
    let what = format!("cannot find the model request '{}'", short(meant, 40));
    let found = client.get(&["v1", "jobs"], &[("limit", MOST.to_string())]).await;
    let found = found.map_err(|error| trouble(&error, &what))?;
    let ids = found["data"].as_array().into_iter().flatten().map(|job| text(job, "id"));
    let mut ids: Vec<String> = ids.filter(|id| id.starts_with(meant)).collect();
    match ids.len() {
        1 => Ok(ids.swap_remove(0)),
        0 => Err(Trouble::new(what, format!("no id of your {MOST} most recent ones begins with it"))
            .next("gantry jobs --requests")),
        count => Err(Trouble::usage(what, format!("{count} begin with it")).next("type more of the id")),
    }
}

async fn read(client: &Client, id: &str) -> Result<Value, Trouble> {
    let job = client.get(&["v1", "jobs", id], &[]).await;
    job.map_err(|error| trouble(&error, &format!("cannot show {id}")))
}

async fn show(client: &Client, id: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let job = read(client, id).await?;
    let mut lines = vec![format!("{id}: {}", text(&job, "status"))];
    for key in ["model", "endpoint", "attempt", "position", "waiting_for", "callback_url", "request_id", "status_code"]
    {
        let value = short(&text(&job, key), 400);
        if !value.is_empty() {
            lines.push(format!("  {key}: {value}"));
        }
    }
    lines.extend([("age", age(&job["created_at"]))].iter().map(|(word, value)| format!("  {word}: {value}")));
    let error = text(&job["error"], "message");
    if !error.is_empty() {
        lines.push(format!("  error: {}", short(&error, 400)));
    }
    if job["response"].is_object() {
        lines.push(format!("  answer: {}", answer(&job, id, 400)));
    }
    session.one(job, id, lines)?;
    Ok(Exit::Ok)
}

/// The answer as a person reads it.
fn answer(job: &Value, id: &str, most: usize) -> String {
    let response = &job["response"];
    match response["body_encoding"].as_str() {
        Some("json") => short(&response["body"].to_string(), most),
        Some("text") => short(&text(response, "body"), most),
        _ => format!("{}; fetch it with `gantry job result {id} > FILE`", text(&response["headers"], "content-type")),
    }
}

/// Waits for the end, with each change if that is wanted; the exit code is the job's.
async fn until_end(
    client: &Client,
    id: &str,
    limit: Option<Duration>,
    tells: bool,
    session: &mut Session,
) -> Result<Exit, Trouble> {
    let following = follow(client, id, tells, session);
    match limit {
        None => following.await?,
        Some(limit) => match timeout(limit, following).await {
            Ok(followed) => followed?,
            Err(_) => {
                let status = text(&read(client, id).await?, "status");
                let trouble = Trouble::new(format!("gave up waiting for {id}"), format!("it is {status}"));
                return Err(Trouble { exit: Exit::TimedOut, ..trouble }.next(format!("gantry job show {id}")));
            }
        },
    }
    let job = read(client, id).await?;
    let status = DeferredStatus::parse(&text(&job, "status"));
    if !tells {
        let body = &job["response"]["body"];
        let shown =
            if job["response"]["body_encoding"] == "json" { pretty(body) } else { answer(&job, id, usize::MAX) };
        let lines = if job["response"].is_object() { vec![shown] } else { Vec::new() };
        session.one(
            json!({"id": id, "status": job["status"], "response": job["response"], "error": job["error"]}),
            id,
            lines,
        )?;
    }
    Ok(match status {
        Some(DeferredStatus::Completed) => Exit::Ok,
        Some(DeferredStatus::Cancelled) => Exit::Cancelled,
        Some(DeferredStatus::Failed | DeferredStatus::Expired | DeferredStatus::Queued | DeferredStatus::Running)
        | None => {
            session.screen.remark(&format!("{id}: {}", short(&text(&job["error"], "message"), 400)));
            Exit::Failed
        }
    })
}

/// Reads its events until the last.
async fn follow(client: &Client, id: &str, tells: bool, session: &mut Session) -> Result<(), Trouble> {
    let what = format!("cannot watch {id}");
    let mut told = String::new();
    for _ in 0..MOST_BREAKS {
        let begun = Instant::now();
        match client.open(&["v1", "jobs", id, "events"], &[]).await {
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(trouble(&error, &what)),
            Ok(mut open) => {
                let mut parser = Parser::default();
                while let Ok(Ok(Some(bytes))) = timeout(SILENCE, open.chunk()).await {
                    // The last event may be larger than is read of one; then there is no other behind it.
                    let Ok(events) = parser.push(&bytes) else { return Ok(()) };
                    for event in events {
                        if tells && event.kind != told {
                            let job: Value = serde_json::from_str(&event.data).unwrap_or_default();
                            session.one(job, id, vec![super::plain(&event.kind)])?;
                        }
                        if DeferredStatus::parse(&event.kind).is_some_and(DeferredStatus::is_end) {
                            return Ok(());
                        }
                        told = event.kind;
                    }
                }
            }
        }
        tokio::time::sleep(PAUSE.saturating_sub(begun.elapsed())).await;
    }
    Err(Trouble::new(what, "the connection was lost again and again").next("gantry doctor"))
}

/// Prints a result as it is: what is no text goes into a file only.
pub(super) async fn result(client: &Client, path: &[&str], id: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let what = format!("cannot fetch the result of {id}");
    let (kind, bytes) = client.bytes(path).await.map_err(|error| trouble(&error, &what))?;
    match std::str::from_utf8(&bytes) {
        _ if !session.screen.is_terminal => session.screen.bytes(&bytes)?,
        Ok(text) => text.lines().try_for_each(|line| session.screen.data(&super::plain(line)))?,
        Err(_) => {
            let why =
                format!("it is {} bytes of {}, which is nothing for a terminal", bytes.len(), super::plain(&kind));
            return Err(Trouble::usage(what, why).next(format!("gantry job result {id} > FILE")));
        }
    }
    Ok(Exit::Ok)
}

/// What a refusal means to a person, and the next command.
fn trouble(error: &RequestError, what: &str) -> Trouble {
    let RequestError::Refused { status, .. } = error else { return error.trouble(what) };
    let trouble = Trouble::new(what, error);
    match status {
        401 | 403 => trouble.next("name the key that sent the request: gantry --token KEY …, or GANTRY_TOKEN"),
        404 => trouble.next("gantry jobs --requests"),
        _ => trouble,
    }
}
