//! `gantry run show`.

use super::super::output::{pretty, text_of};
use super::super::{Client, Exit, Session, Style, Tone, Trouble, plain, short, when};
use super::{brief, find, list, prompt};
use serde_json::Value;

/// Records that are read at once, and how often, to find a run's output.
const PAGE: u64 = 2000;
const MOST_PAGES: usize = 100;

/// Prints a run, with its output if it has one.
pub(super) async fn run(meant: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, meant).await?;
    let mut run = find::run(&client, &id).await?;
    if run["status"] == "completed" {
        run["output"] = output(&client, &id).await?.unwrap_or(Value::Null);
    }
    let lines = lines(&run, session.screen.style);
    session.one(run, &id, lines)?;
    Ok(Exit::Ok)
}

/// The output that the ledger records, read from its end if it is known where that is.
pub(super) async fn output(client: &Client, id: &str) -> Result<Option<Value>, Trouble> {
    let (mut after, mut found) = (0, None);
    for _ in 0..MOST_PAGES {
        let query = [("after", after.to_string()), ("limit", PAGE.to_string())];
        let page = client.get(&["runs", id, "ledger"], &query).await;
        let page = page.map_err(|error| error.trouble(format!("cannot read the ledger of run {}", brief(id))))?;
        let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
        found = items.iter().rev().find_map(output_of).or(found);
        if (items.len() as u64) < PAGE {
            break;
        }
        after += items.len() as u64;
    }
    Ok(found)
}

/// The output in the record that ends a run.
pub(super) fn output_of(record: &Value) -> Option<Value> {
    let result = &record["result"];
    (result["completed"] == true).then(|| result["output"].clone())
}

fn lines(run: &Value, style: Style) -> Vec<String> {
    let status = list::status(run);
    let tone = match text_of(&run["status"]).as_str() {
        "completed" => Tone::Good,
        "failed" | "cancelled" => Tone::Bad,
        "waiting" => Tone::Waiting,
        _ => Tone::Strong,
    };
    let line =
        |name: &str, value: &str| format!("{}{}", style.paint(Tone::Faint, &format!("{name:<10} ")), plain(value));
    let mut lines = vec![
        line("run", &text_of(&run["run_id"])),
        line("workflow", &text_of(&run["workflow_id"])),
        format!("{}{}", style.paint(Tone::Faint, "status     "), style.paint(tone, &plain(&status))),
    ];
    for (name, key) in [("node", "current_node"), ("session", "session_id"), ("parent", "parent_run_id")] {
        lines.extend(run[key].as_str().map(|value| line(name, value)));
    }
    for (name, key) in [("created", "created_at"), ("changed", "updated_at"), ("paused at", "paused_at")] {
        let ago = |value: &str| line(name, &format!("{value} ({} ago)", when::age(&run[key])));
        lines.extend(run[key].as_str().map(ago));
    }
    if run["is_scheduled"] == true {
        lines.push(line("schedule", &short(&run["schedule"].to_string(), 200)));
    }
    lines.extend(run["error"].as_str().map(|error| line("error", error)));
    if run["waiting"].is_object() {
        lines.push(line("waits", ""));
        lines.extend(prompt::lines(&run["waiting"], &text_of(&run["run_id"]), style));
    }
    if let Some(output) = run.get("output").filter(|output| !output.is_null()) {
        lines.push(line("output", ""));
        // JSON escapes every control character, so only its own line ends are left.
        lines.push(pretty(output));
    }
    lines
}
