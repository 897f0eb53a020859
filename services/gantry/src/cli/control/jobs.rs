//! `gantry jobs`.

use super::super::output::{Column, text_of};
use super::super::{Exit, Session, Trouble, short, when};
use super::listing::{Listing, Watching};
use super::{client, text, trouble};
use clap::Args;
use serde_json::Value;

/// Which jobs are listed.
#[derive(Clone, Debug, Args)]
pub struct Jobs {
    /// Only jobs in these states, separated by commas
    #[arg(long, value_name = "STATES")]
    pub(super) status: Option<String>,
    /// Only jobs of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only jobs of this service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
    /// Go on where a page ended
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<String>,
    /// The most urgent first instead of the newest
    #[arg(long, conflicts_with = "cursor")]
    urgent: bool,
    /// With why each waits; of at most 200
    #[arg(long)]
    why: bool,
    /// Only the numbers: queued and running, by type and priority
    #[arg(long)]
    stats: bool,
    /// Your model requests that became jobs instead (`Prefer: respond-async`), by the key in --token
    #[arg(long, conflicts_with_all = ["kind", "service", "urgent", "why", "stats", "watch"])]
    requests: bool,
    #[command(flatten)]
    watching: Watching,
}

/// Lists jobs, or counts them.
pub(super) async fn run(list: &Jobs, session: &mut Session) -> Result<Exit, Trouble> {
    if list.requests {
        return super::deferred::list(list, session).await;
    }
    if list.stats {
        return stats(session).await;
    }
    let client = client(session)?;
    let given = [("status", &list.status), ("type", &list.kind), ("service", &list.service), ("cursor", &list.cursor)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let sort = list.urgent.then(|| ("sort", "urgent".to_owned()));
    let why = list.why.then(|| ("explain", "true".to_owned()));
    let limit = if list.why { list.limit.min(200) } else { list.limit };
    let listing = Listing {
        path: &["queue"],
        query: given.chain(sort).chain(why).chain([("limit", limit.to_string())]).collect(),
        what: "cannot list the jobs",
        items: |answer| answer["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default(),
        columns: if list.why { explained_columns } else { columns },
        name: "id",
        none: "no job matches; submit one with `gantry submit TYPE FILE`",
    };
    let more = |answer: &Value, session: &mut Session| {
        let next = text(answer, "next_cursor");
        if !next.is_empty() {
            session.screen.remark(&format!("there are more: gantry jobs --cursor {next}"));
        }
    };
    listing.run(&client, list.watching, more, session).await
}

fn columns(is_wide: bool) -> Vec<Column> {
    vec![
        Column::new("JOB", move |job| {
            let id = text_of(&job["id"]);
            if is_wide { id } else { super::job::brief(&id).to_owned() }
        }),
        Column::text("STATUS", "status"),
        Column::text("TYPE", "service_type"),
        Column::text("SERVICE", "service_name"),
        Column::text("PRIORITY", "priority"),
        Column::new("ATTEMPTS", |job| format!("{}/{}", text_of(&job["attempts"]), text_of(&job["max_attempts"]))),
        Column::new("AGE", |job| when::age(&job["created_at"])),
        Column::wide("ERROR", |job| short(&text_of(&job["error"]), 60)),
    ]
}

fn explained_columns(is_wide: bool) -> Vec<Column> {
    let mut all = columns(is_wide);
    all.push(Column::new("WHY", |job| super::brief_ids(&text_of(&job["waiting"]["text"]))));
    all
}

/// `gantry jobs --stats`, which is also `gantry queue`.
pub(super) async fn stats(session: &mut Session) -> Result<Exit, Trouble> {
    let answer = client(session)?.get(&["queue", "stats"], &[]).await;
    let answer = answer.map_err(|error| trouble(&error, "cannot count the jobs"))?;
    let mut lines =
        vec![format!("{} queued, {} running", text(&answer, "total_queued"), text(&answer, "total_running"))];
    for key in ["by_type", "by_priority"] {
        let counts = answer[key].as_object().into_iter().flatten();
        lines.extend(counts.map(|(name, count)| super::plain(&format!("  {name}: {count}"))));
    }
    session.one(answer, "", lines)?;
    Ok(Exit::Ok)
}
