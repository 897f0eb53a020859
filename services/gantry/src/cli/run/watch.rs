//! `gantry run watch`: the live ledger of a run and of the runs that it waits for.

use super::super::follow::{Followed, follow};
use super::super::output::text_of;
use super::super::{Client, Exit, Format, Session, Tone, Trouble, plain, when};
use super::lines::{Painted, Painter};
use super::{Run, brief, exit_of, find, prompt};
use clap::Args;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Runs that are followed at once. The gateway serves 32 streams by default, and others watch too.
const MOST_LANES: usize = 8;
/// The runs below have ended before the run that waited for them; their last records come within this time.
const DRAIN: Duration = Duration::from_secs(1);
/// A step that ends within this time is shown as one line.
const HOLD: Duration = Duration::from_millis(150);

/// Watch a run live.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    run: Run,
    /// Begin after so many records
    #[arg(long, default_value_t = 0, value_name = "CURSOR")]
    after: u64,
}

/// Watches until the run has ended; the exit code is the run's.
pub(super) async fn run(watch: Watch, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, &watch.run.run).await?;
    until_end(client, &id, watch.after, session).await
}

/// Watches a run of which the whole id is known.
pub(super) async fn until_end(client: Client, id: &str, after: u64, session: &mut Session) -> Result<Exit, Trouble> {
    let run = find::run(&client, id).await?;
    let is_table = matches!(session.global.output, Format::Table | Format::Wide);
    if is_table {
        let style = session.screen.style;
        let workflow = plain(&text_of(&run["workflow_id"]));
        let title = format!("{}  {workflow}", style.paint(Tone::Strong, &format!("run {id}")));
        session.screen.data(&title)?;
    }
    let mut view =
        View { client: client.clone(), begin: begin(&run), lanes: BTreeMap::new(), streams: SelectAll::new() };
    view.add(id, after, String::new(), session);
    loop {
        let next = match tokio::time::timeout(HOLD, view.streams.next()).await {
            Ok(next) => next,
            Err(_) => {
                view.flush(session)?;
                // Nothing is held any more, so the next wait needs no end.
                view.streams.next().await
            }
        };
        let Some((lane, followed)) = next else { break };
        if lane == id && matches!(followed, Ok(Followed::Done)) {
            break;
        }
        if lane == id
            && let Err(trouble) = followed
        {
            return Err(trouble);
        }
        view.take(&lane, followed, session)?;
    }
    let until = Instant::now() + DRAIN;
    while let Ok(Some((lane, followed))) = tokio::time::timeout_at(until, view.streams.next()).await {
        view.take(&lane, followed, session)?;
    }
    view.flush(session)?;
    let run = find::run(&client, id).await?;
    close(&run, session);
    Ok(exit_of(&text_of(&run["status"])))
}

/// When a run began, in microseconds since 1970.
pub(super) fn begin(run: &Value) -> i64 {
    when::moment(&run["created_at"]).unwrap_or_else(when::now).as_micros()
}

fn close(run: &Value, session: &mut Session) {
    let took = when::moment(&run["updated_at"]).map(|end| when::took(end.as_micros() - begin(run)));
    let error = run["error"].as_str().map(|error| format!(": {}", plain(error))).unwrap_or_default();
    let status = text_of(&run["status"]);
    let id = brief(&text_of(&run["run_id"]));
    session.screen.remark(&format!("run {id} {status} after {}{error}", took.unwrap_or_default()));
}

type Streams = SelectAll<BoxStream<'static, (String, Result<Followed, Trouble>)>>;

/// The runs that are watched and what was not shown of them yet.
struct View {
    client: Client,
    begin: i64,
    lanes: BTreeMap<String, Lane>,
    streams: Streams,
}

struct Lane {
    painter: Painter,
    held: Option<Painted>,
}

impl View {
    /// Follows one more run, with that text in front of its lines.
    fn add(&mut self, id: &str, after: u64, text: String, session: &Session) {
        let painter = Painter { begin: self.begin, lane: text, style: session.screen.style };
        self.lanes.insert(id.to_owned(), Lane { painter, held: None });
        let name = id.to_owned();
        let records = follow(self.client.clone(), id.to_owned(), after);
        self.streams.push(records.map(move |followed| (name.clone(), followed)).boxed());
    }

    /// Shows what happened to one of the runs.
    fn take(&mut self, id: &str, followed: Result<Followed, Trouble>, session: &mut Session) -> Result<(), Trouble> {
        match followed {
            Ok(Followed::Record { cursor, record }) => self.record(id, cursor, &record, session)?,
            Ok(Followed::Lost { why }) => {
                session.screen.remark(&format!("connection to run {} lost ({why}); trying again", brief(id)));
            }
            Ok(Followed::Done) => {}
            Err(trouble) => session.screen.remark(&format!("{trouble}; going on without it")),
        }
        Ok(())
    }

    fn record(&mut self, id: &str, cursor: u64, record: &Value, session: &mut Session) -> Result<(), Trouble> {
        match session.global.output {
            Format::Table | Format::Wide => self.show(id, record, session)?,
            Format::Json | Format::Ndjson | Format::Yaml => {
                session.screen.data(&json!({"run_id": id, "cursor": cursor, "record": record}).to_string())?;
            }
            Format::Name => session.screen.data(&cursor.to_string())?,
        }
        let child = prompt::child(&record["result"]["wait"]).filter(|child| !self.lanes.contains_key(*child));
        if let Some(child) = child.map(str::to_owned)
            && self.lanes.len() < MOST_LANES
        {
            let above = self.lanes.get(id).map(|lane| lane.painter.lane.clone()).unwrap_or_default();
            self.add(&child, 0, format!("{}{} ", above, brief(&child)), session);
        }
        Ok(())
    }

    fn show(&mut self, id: &str, record: &Value, session: &mut Session) -> Result<(), Trouble> {
        let Some(lane) = self.lanes.get_mut(id) else {
            return Ok(());
        };
        let painted = lane.painter.paint(id, record);
        if let Some(held) = lane.held.take()
            && held.step != painted.step
        {
            print(&held, session)?;
        }
        if painted.is_begin {
            lane.held = Some(painted);
            return Ok(());
        }
        print(&painted, session)
    }

    /// Shows what was held back.
    fn flush(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let held: Vec<Painted> = self.lanes.values_mut().filter_map(|lane| lane.held.take()).collect();
        held.iter().try_for_each(|painted| print(painted, session))
    }
}

fn print(painted: &Painted, session: &mut Session) -> Result<(), Trouble> {
    painted.lines.iter().try_for_each(|line| session.screen.data(line))
}
