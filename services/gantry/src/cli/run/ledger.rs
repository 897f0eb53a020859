//! `gantry run ledger`.

use super::super::follow::{Followed, follow};
use super::super::output::{Column, List, text_of};
use super::super::{Client, Exit, Format, Session, Trouble, short};
use super::lines::{Painter, ended};
use super::{Run, brief, exit_of, find, watch};
use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};
use std::pin::pin;

const PAGE: u64 = 2000;

/// Print a run's ledger.
#[derive(Clone, Debug, Args)]
pub struct Ledger {
    #[command(flatten)]
    run: Run,
    /// Go on with what is recorded from now on, until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Begin after so many records
    #[arg(long, default_value_t = 0, value_name = "CURSOR")]
    after: u64,
    /// At most so many records
    #[arg(long, default_value_t = 10_000, conflicts_with = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Prints it, and what is added to it if asked to.
pub(super) async fn run(ledger: Ledger, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, &ledger.run.run).await?;
    if ledger.follow {
        return print_live(client, &id, ledger.after, session).await;
    }
    let items = read(&client, &id, ledger.after, ledger.limit).await?;
    let count = items.len() as u64;
    print(items, session)?;
    if count == ledger.limit {
        let cursor = ledger.after + count;
        session.screen.remark(&format!("there may be more: gantry run ledger {} --after {cursor}", brief(&id)));
    }
    Ok(Exit::Ok)
}

async fn read(client: &Client, id: &str, after: u64, limit: u64) -> Result<Vec<Value>, Trouble> {
    let mut items = Vec::new();
    while (items.len() as u64) < limit {
        let page = PAGE.min(limit - items.len() as u64);
        let cursor = after + items.len() as u64;
        let query = [("after", cursor.to_string()), ("limit", page.to_string())];
        let answer = client.get(&["runs", id, "ledger"], &query).await;
        let answer = answer.map_err(|error| error.trouble(format!("cannot read the ledger of run {}", brief(id))))?;
        let records = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
        items.extend(records.iter().zip(cursor + 1..).map(|(record, cursor)| item(cursor, record.clone())));
        if (records.len() as u64) < page {
            break;
        }
    }
    Ok(items)
}

fn item(cursor: u64, record: Value) -> Value {
    json!({"cursor": cursor, "record": record})
}

fn print(items: Vec<Value>, session: &mut Session) -> Result<(), Trouble> {
    let columns = [
        Column::text("#", "cursor"),
        Column::new("NODE", |item| text_of(&item["record"]["node_id"])),
        Column::new("STATUS", |item| text_of(&item["record"]["status"])),
        Column::new("EFFECT", |item| text_of(&item["record"]["effect"]["type"])),
        Column::new("AT", |item| {
            let record = &item["record"];
            text_of(if record["ended_at"].is_null() { &record["started_at"] } else { &record["ended_at"] })
        }),
        Column::new("RESULT", |item| short(&result(&item["record"]), 60)),
        Column::wide("STEP", |item| text_of(&item["record"]["step_id"])),
        Column::wide("KEY", |item| text_of(&item["record"]["idempotency_key"])),
    ];
    session.list(&List { items, columns: &columns, name: "cursor" })
}

/// The error, what is waited for, or the result as it is.
fn result(record: &Value) -> String {
    let wait = &record["result"]["wait"];
    match (record["error"].as_str(), wait["reason"].as_str()) {
        (Some(error), _) => error.to_owned(),
        (None, Some(reason)) => format!("waits for {reason} {}", text_of(&wait["prompt"])),
        (None, None) => text_of(&record["result"]),
    }
}

/// Prints each record as it comes. A person reads the lines of `watch`, a program one JSON document a line.
async fn print_live(client: Client, id: &str, after: u64, session: &mut Session) -> Result<Exit, Trouble> {
    let run = find::run(&client, id).await?;
    let painter = Painter { begin: watch::begin(&run), lane: String::new(), style: session.screen.style };
    let mut end = None;
    let mut records = pin!(follow(client, id.to_owned(), after));
    while let Some(followed) = records.next().await {
        match followed? {
            Followed::Record { cursor, record } => {
                end = ended(&record).map(str::to_owned).or(end);
                match session.global.output {
                    Format::Table | Format::Wide => {
                        for line in painter.paint(id, &record).lines {
                            session.screen.data(&line)?;
                        }
                    }
                    Format::Json | Format::Ndjson | Format::Yaml => {
                        session.screen.data(&item(cursor, record).to_string())?;
                    }
                    Format::Name => session.screen.data(&cursor.to_string())?,
                }
            }
            Followed::Lost { why } => session.screen.remark(&format!("connection lost ({why}); trying again")),
            Followed::Done => break,
        }
    }
    Ok(end.map_or(Exit::Ok, |status| exit_of(&status)))
}
