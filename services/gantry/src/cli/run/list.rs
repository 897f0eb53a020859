//! `gantry run list`.

use super::super::output::{Column, List, text_of};
use super::super::{Client, Exit, Format, Session, Trouble, plain, when};
use super::brief;
use clap::Args;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// How often the list is read again while it is watched.
const PERIOD: Duration = Duration::from_secs(1);

/// List runs.
#[derive(Clone, Debug, Args)]
pub struct ListRuns {
    /// Only runs of that status
    #[arg(long, value_parser = ["running", "waiting", "completed", "failed", "cancelled"])]
    status: Option<String>,
    /// Only runs of that workflow, BUNDLE@VERSION:FLOW
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only runs of that session
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Only runs that no other run started
    #[arg(long)]
    roots: bool,
    /// Draft runs too
    #[arg(long)]
    drafts: bool,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Keep showing what changes
    #[arg(long)]
    watch: bool,
}

/// Prints them, once or for as long as somebody watches.
pub(super) async fn run(list: ListRuns, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let query = query(&list);
    if !list.watch {
        let items = read(&client, &query).await?;
        let is_empty = items.is_empty();
        print(items, session)?;
        if is_empty {
            session.screen.remark("no run matches; start one with `gantry run start BUNDLE`");
        }
        return Ok(Exit::Ok);
    }
    let mut seen: HashMap<String, Value> = HashMap::new();
    let mut was_read = false;
    loop {
        match read(&client, &query).await {
            Ok(items) if session.screen.is_terminal => {
                session.screen.clear()?;
                print(items, session)?;
            }
            Ok(items) => print_changes(items, &mut seen, session)?,
            Err(trouble) if !was_read => return Err(trouble),
            Err(trouble) => session.screen.remark(&format!("{trouble}; trying again")),
        }
        was_read = true;
        tokio::time::sleep(PERIOD).await;
    }
}

fn query(list: &ListRuns) -> Vec<(&'static str, String)> {
    let given = [("status", &list.status), ("workflow_id", &list.workflow), ("session_id", &list.session)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let always = [
        ("limit", list.limit.to_string()),
        ("root_only", list.roots.to_string()),
        ("include_drafts", list.drafts.to_string()),
    ];
    always.into_iter().chain(given).collect()
}

async fn read(client: &Client, query: &[(&str, String)]) -> Result<Vec<Value>, Trouble> {
    let answer = client.get(&["runs"], query).await;
    let mut answer = answer.map_err(|error| error.trouble("cannot list the runs"))?;
    Ok(answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

fn print(items: Vec<Value>, session: &mut Session) -> Result<(), Trouble> {
    let is_wide = session.global.output == Format::Wide;
    let columns = [
        Column::new("RUN", move |item| {
            let id = text_of(&item["run_id"]);
            if is_wide { id } else { brief(&id) }
        }),
        Column::new("STATUS", status),
        Column::text("WORKFLOW", "workflow_id"),
        Column::text("RECORDS", "ledger_len"),
        Column::new("CHANGED", |item| when::age(&item["updated_at"])),
        Column::new("AGE", |item| when::age(&item["created_at"])),
        Column::wide("SESSION", |item| text_of(&item["session_id"])),
        Column::wide("PARENT", |item| text_of(&item["parent_run_id"])),
    ];
    session.list(&List { items, columns: &columns, name: "run_id" })
}

/// The status, and what is waited for.
pub(super) fn status(run: &Value) -> String {
    let status = text_of(&run["status"]);
    let status = if run["paused"] == true { format!("{status} (paused)") } else { status };
    match run["waiting"]["reason"].as_str() {
        Some(reason) => format!("{status}: {reason}"),
        None => status,
    }
}

/// Prints the runs that are new or changed since they were last seen.
fn print_changes(items: Vec<Value>, seen: &mut HashMap<String, Value>, session: &mut Session) -> Result<(), Trouble> {
    let mut changed = Vec::new();
    // Only what is listed now is remembered, so what is kept is bounded by the list's limit.
    let mut now = HashMap::with_capacity(items.len());
    for item in items {
        let id = text_of(&item["run_id"]);
        if seen.get(&id) != Some(&item) {
            changed.push(item.clone());
        }
        now.insert(id, item);
    }
    *seen = now;
    for item in changed.iter().rev() {
        let line = match session.global.output {
            Format::Table | Format::Wide => {
                plain(&format!("{}  {}  {}", text_of(&item["run_id"]), status(item), text_of(&item["workflow_id"])))
            }
            Format::Name => plain(&text_of(&item["run_id"])),
            Format::Json | Format::Ndjson | Format::Yaml => item.to_string(),
        };
        session.screen.data(&line)?;
    }
    Ok(())
}
