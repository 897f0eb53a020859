//! `gantry job watch`: what happens to a job, as it happens.

use super::super::sse::{Event, Parser};
use super::super::{Client, Exit, Session, Trouble, plain};
use super::gpu::is_table;
use super::job::brief;
use super::{text, trouble};
use domain::control::JobState;
use serde_json::Value;
use std::time::Duration;

/// Silence for so long means that the connection is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// Connections that may break before the watch is given up.
const MOST_BREAKS: u32 = 20;
/// Pause before the next connection.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints events until the job has ended; the exit code is the job's.
pub(super) async fn watch(client: &Client, id: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let mut last: Option<String> = None;
    let what = || format!("cannot watch job {}", brief(id));
    for _ in 0..MOST_BREAKS {
        let query: Vec<_> = last.clone().map(|last| ("after", last)).into_iter().collect();
        let mut open = match client.open(&["queue", id, "events"], &query).await {
            Ok(open) => open,
            Err(error) if error.is_passing() && last.is_some() => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(trouble(&error, what())),
        };
        let mut parser = Parser::default();
        while let Ok(Ok(Some(bytes))) = tokio::time::timeout(SILENCE, open.chunk()).await {
            let events = parser.push(&bytes).map_err(|error| Trouble::new(what(), error))?;
            for event in events {
                if let Some(exit) = show(&event, session)? {
                    return Ok(exit);
                }
                last = event.id.clone().or(last);
            }
        }
        session.screen.remark("connection lost; trying again");
        tokio::time::sleep(PAUSE).await;
    }
    Err(Trouble::new(what(), "the connection was lost again and again").next("gantry doctor"))
}

fn show(event: &Event, session: &mut Session) -> Result<Option<Exit>, Trouble> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if event.kind == "done" {
        return Ok(Some(match JobState::parse(&text(&data, "status")) {
            Some(JobState::Completed) => Exit::Ok,
            Some(JobState::Cancelled) => Exit::Cancelled,
            Some(JobState::Failed | JobState::Expired | JobState::Queued | JobState::Running | JobState::Paused)
            | None => Exit::Failed,
        }));
    }
    if !is_table(session) {
        session.screen.data(&data.to_string())?;
        return Ok(None);
    }
    let job = &data["job"];
    let mut line = format!("{}  {}", plain(&event.kind.replace('_', " ")), text(job, "status"));
    for (word, key) in [("on", "service_name"), ("progress", "progress"), ("because", "error")] {
        let value = text(job, key);
        if !value.is_empty() {
            line = format!("{line}  {word} {value}");
        }
    }
    session.screen.data(&line)?;
    Ok(None)
}
