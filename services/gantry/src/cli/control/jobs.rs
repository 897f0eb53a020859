//! `gantry jobs`.

use super::super::output::{Column, List, text_of};
use super::super::{Exit, Format, Session, Trouble, when};
use super::{client, text, trouble};
use clap::Args;

/// Which jobs are listed.
#[derive(Clone, Debug, Args)]
pub struct Jobs {
    /// Only jobs in these states, separated by commas
    #[arg(long, value_name = "STATES")]
    status: Option<String>,
    /// Only jobs of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only jobs of this service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Go on where a page ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Only the numbers: queued and running, by type and priority
    #[arg(long)]
    stats: bool,
}

/// Lists jobs, or counts them.
pub(super) async fn run(list: &Jobs, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    if list.stats {
        let answer = client.get(&["queue", "stats"], &[]).await;
        let answer = answer.map_err(|error| trouble(&error, "cannot count the jobs"))?;
        let mut lines =
            vec![format!("{} queued, {} running", text(&answer, "total_queued"), text(&answer, "total_running"))];
        for key in ["by_type", "by_priority"] {
            let counts = answer[key].as_object().into_iter().flatten();
            lines.extend(counts.map(|(name, count)| super::plain(&format!("  {name}: {count}"))));
        }
        session.one(answer, "", lines)?;
        return Ok(Exit::Ok);
    }
    let given = [("status", &list.status), ("type", &list.kind), ("service", &list.service), ("cursor", &list.cursor)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let query: Vec<_> = given.chain([("limit", list.limit.to_string())]).collect();
    let answer = client.get(&["queue"], &query).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot list the jobs"))?;
    let next = text(&answer, "next_cursor");
    let items = answer["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_empty = items.is_empty();
    let is_wide = session.global.output == Format::Wide;
    let columns = [
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
        Column::wide("ERROR", |job| super::super::short(&text_of(&job["error"]), 60)),
    ];
    session.list(&List { items, columns: &columns, name: "id" })?;
    if is_empty {
        session.screen.remark("no job matches; submit one with `gantry submit TYPE FILE`");
    } else if !next.is_empty() {
        session.screen.remark(&format!("there are more: gantry jobs --cursor {next}"));
    }
    Ok(Exit::Ok)
}
