//! A list of the control plane: printed once, or again with everything that changes.

use super::super::output::{Column, List, text_of};
use super::super::{Client, Exit, Format, Session, Trouble, plain};
use super::live::{Heard, STREAMS, listen};
use super::trouble;
use clap::Args;
use futures::StreamExt;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The list is read again this long after the first of several changes.
const GATHER: Duration = Duration::from_millis(200);
/// And this often when nothing is told, for the ages in it.
const PERIOD: Duration = Duration::from_secs(10);

/// Whether a list stays.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Watching {
    /// Keep showing what changes, as it changes
    #[arg(short = 'w', long)]
    pub watch: bool,
}

/// A list and how it is shown.
pub(super) struct Listing {
    /// Where it is read.
    pub path: &'static [&'static str],
    /// With which query.
    pub query: Vec<(&'static str, String)>,
    /// What failed when it cannot be read.
    pub what: &'static str,
    /// Takes the things out of the answer.
    pub items: fn(&mut Value) -> Vec<Value>,
    /// The columns of its table, for a wide window or not.
    pub columns: fn(bool) -> Vec<Column>,
    /// The key with a thing's name.
    pub name: &'static str,
    /// What is said when it is empty.
    pub none: &'static str,
}

impl Listing {
    /// Reads it.
    pub(super) async fn read(&self, client: &Client) -> Result<Value, Trouble> {
        client.get(self.path, &self.query).await.map_err(|error| trouble(&error, self.what))
    }

    /// Prints it once, or for as long as somebody watches. `also` says more of an answer.
    pub(super) async fn run(
        &self,
        client: &Client,
        watching: Watching,
        also: impl Fn(&Value, &mut Session),
        session: &mut Session,
    ) -> Result<Exit, Trouble> {
        if watching.watch {
            return self.watch(client, session).await;
        }
        let mut answer = self.read(client).await?;
        let items = (self.items)(&mut answer);
        let is_empty = items.is_empty();
        self.print(items, session)?;
        if is_empty && !self.none.is_empty() {
            session.screen.remark(self.none);
        }
        also(&answer, session);
        Ok(Exit::Ok)
    }

    /// Prints these.
    pub(super) fn print(&self, items: Vec<Value>, session: &mut Session) -> Result<(), Trouble> {
        let columns = (self.columns)(session.global.output == Format::Wide);
        session.list(&List { items, columns: &columns, name: self.name })
    }

    async fn watch(&self, client: &Client, session: &mut Session) -> Result<Exit, Trouble> {
        let mut told = listen(client, &STREAMS);
        let mut seen: HashMap<String, Value> = HashMap::new();
        let mut was_read = false;
        loop {
            match self.read(client).await {
                Ok(mut answer) => {
                    let items = (self.items)(&mut answer);
                    if session.screen.is_terminal {
                        session.screen.clear()?;
                        self.print(items, session)?;
                    } else {
                        self.print_changes(items, &mut seen, session)?;
                    }
                }
                Err(trouble) if !was_read => return Err(trouble),
                Err(trouble) => session.screen.remark(&format!("{trouble}; trying again")),
            }
            was_read = true;
            let period = Instant::now() + PERIOD;
            match timeout_at(period, told.next()).await {
                Ok(Some(Heard::Told(_) | Heard::Opened)) => {}
                Ok(Some(Heard::Lost { why })) => {
                    session.screen.remark(&format!("connection lost ({why}); trying again"))
                }
                Ok(Some(Heard::Refused(error))) => return Err(trouble(&error, self.what)),
                // Nothing is told any more: the period alone is left.
                Ok(None) => tokio::time::sleep_until(period).await,
                Err(_) => continue,
            }
            let gathered = Instant::now() + GATHER;
            while let Ok(Some(_)) = timeout_at(gathered, told.next()).await {}
        }
    }

    /// Prints what is new or changed since it was last seen.
    fn print_changes(
        &self,
        items: Vec<Value>,
        seen: &mut HashMap<String, Value>,
        session: &mut Session,
    ) -> Result<(), Trouble> {
        let columns = (self.columns)(session.global.output == Format::Wide);
        // Only what is listed now is remembered, so what is kept is bounded by the list.
        let mut now = HashMap::with_capacity(items.len());
        for item in items {
            let name = text_of(&item[self.name]);
            if seen.remove(&name).as_ref() != Some(&item) {
                let line = match session.global.output {
                    Format::Table | Format::Wide => {
                        let cells: Vec<String> = columns.iter().map(|column| plain(&column.text_of(&item))).collect();
                        cells.join("  ")
                    }
                    Format::Name => plain(&name),
                    Format::Json | Format::Ndjson | Format::Yaml => item.to_string(),
                };
                session.screen.data(&line)?;
            }
            now.insert(name, item);
        }
        *seen = now;
        Ok(())
    }
}
