//! `gantry config show`: every setting, its value, and where the value came from.

use super::output::{Column, List};
use super::{Exit, Session, Trouble};
use crate::serve;
use crate::settings;
use clap::Subcommand;
use serde_json::{Value, json};
use service::config::{ConfigError, Reader, Settings};

/// Commands on settings.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting; secrets are redacted
    Show,
}

/// Carries out a command on settings.
pub(super) fn run(command: ConfigCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        ConfigCommand::Show => show(session),
    }
}

/// Reads the settings of every service, as each of them would.
pub(super) fn read(session: &Session) -> Result<Settings, ConfigError> {
    let flags = serve::flags(&session.global);
    let mut reader = Reader::open(flags, session.environment.clone())?;
    settings::read_all(&mut reader)?;
    reader.finish()
}

fn show(session: &mut Session) -> Result<Exit, Trouble> {
    let settings = read(session).map_err(|error| Trouble::usage("cannot use the settings", error))?;
    let items = settings.entries.iter().map(|entry| {
        json!({
            "name": entry.name,
            "value": entry.value,
            "source": entry.source.to_string(),
            "section": entry.section,
            "about": entry.about,
            "aliases": entry.aliases,
        })
    });
    let columns =
        [
            Column::text("NAME", "name"),
            Column::new("VALUE", |item| {
                if item["value"] == "" { "-".to_owned() } else { super::output::text_of(&item["value"]) }
            }),
            Column::text("SOURCE", "source"),
            Column::text("ABOUT", "about"),
            Column::wide("SECTION", |item| super::output::text_of(&item["section"])),
            Column::wide("ALSO", |item| {
                let names = item["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
                names.collect::<Vec<_>>().join(" ")
            }),
        ];
    session.list(&List { items: items.collect(), columns: &columns, name: "name" })?;
    for name in &settings.ignored {
        session.screen.remark(&format!("note: {name} is set, but nothing in gantry reads it"));
    }
    Ok(Exit::Ok)
}
