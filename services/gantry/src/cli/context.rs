//! Named gateways, kept in the user's configuration directory where nobody else can read them.

use super::output::{Column, List};
use super::{Exit, Session, Trouble};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use service::config::Environment;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Commands on contexts.
#[derive(Clone, Debug, Subcommand)]
pub enum ContextCommand {
    /// Add or replace a context: its gateway is --url, its token --token
    Add {
        /// A name of your choice
        name: String,
        /// Also make it the current one
        #[arg(long = "use")]
        make_current: bool,
    },
    /// Make a context the current one
    Use {
        /// Its name
        name: String,
    },
    /// List the contexts
    #[command(visible_alias = "list")]
    Ls,
    /// Remove a context
    Remove {
        /// Its name
        name: String,
    },
}

/// One gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Context {
    /// Where it is.
    pub url: String,
    /// The token to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// All of them, and which one is in use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default, rename = "context")]
    contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; without one there are none.
    pub(super) fn load(environment: &Environment) -> Result<Self, Trouble> {
        let Some(path) = path(environment) else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                Trouble::new(format!("cannot read the contexts in {}", path.display()), error.message())
                    .next("repair or remove that file")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Trouble::new(format!("cannot read the contexts in {}", path.display()), error)),
        }
    }

    /// Writes the file anew, readable by its owner only.
    pub(super) fn save(&self, environment: &Environment) -> Result<(), Trouble> {
        let path = path(environment)
            .ok_or_else(|| Trouble::new("cannot keep the contexts", "neither XDG_CONFIG_HOME nor HOME is set"))?;
        let failed = |error: &dyn std::fmt::Display| {
            Trouble::new(format!("cannot write the contexts to {}", path.display()), error)
        };
        let text = toml::to_string_pretty(self).map_err(|error| failed(&error))?;
        let fresh = path.with_extension("new");
        let write = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let _ = std::fs::remove_file(&fresh);
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&fresh, &path)
        };
        write().map_err(|error: std::io::Error| failed(&error))
    }

    /// Adds or replaces one. The first one is the current one.
    pub(super) fn add(&mut self, name: &str, url: &str, token: Option<String>, make_current: bool) {
        self.contexts.insert(name.to_owned(), Context { url: url.to_owned(), token });
        if make_current || self.current.is_none() {
            self.current = Some(name.to_owned());
        }
    }

    /// The one that the flag, the environment or the file names, if any does.
    pub(super) fn choose(
        &self,
        flag: Option<&str>,
        environment: &Environment,
    ) -> Result<Option<(String, Context)>, Trouble> {
        let Some(name) = flag.or_else(|| environment.get("GANTRY_CONTEXT")).or(self.current.as_deref()) else {
            return Ok(None);
        };
        let context = self.contexts.get(name).cloned().ok_or_else(|| unknown(name))?;
        Ok(Some((name.to_owned(), context)))
    }
}

fn path(environment: &Environment) -> Option<PathBuf> {
    let home = || environment.get("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = environment.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(folder.join("gantry/contexts.toml"))
}

fn unknown(name: &str) -> Trouble {
    Trouble::usage(format!("cannot use the context '{name}'"), "there is none of that name").next("gantry context ls")
}

/// Carries out a command on contexts.
pub(super) fn run(command: ContextCommand, session: &mut Session) -> Result<Exit, Trouble> {
    let mut contexts = Contexts::load(&session.environment)?;
    match command {
        ContextCommand::Add { name, make_current } => {
            let url = session.global.url.clone().ok_or_else(|| {
                Trouble::usage(format!("cannot add the context '{name}'"), "--url is missing")
                    .next(format!("gantry context add {name} --url http://HOST:8080 --token TOKEN"))
            })?;
            contexts.add(&name, &url, session.global.token.clone(), make_current);
            contexts.save(&session.environment)?;
            session.screen.remark(&format!("kept the context '{name}'"));
        }
        ContextCommand::Use { name } => {
            contexts.contexts.get(&name).ok_or_else(|| unknown(&name))?;
            contexts.current = Some(name.clone());
            contexts.save(&session.environment)?;
            session.screen.remark(&format!("using the context '{name}'"));
        }
        ContextCommand::Remove { name } => {
            contexts.contexts.remove(&name).ok_or_else(|| unknown(&name))?;
            contexts.current = contexts.current.filter(|current| *current != name);
            contexts.save(&session.environment)?;
            session.screen.remark(&format!("removed the context '{name}'"));
        }
        ContextCommand::Ls => return list(&contexts, session).map(|()| Exit::Ok),
    }
    Ok(Exit::Ok)
}

fn list(contexts: &Contexts, session: &mut Session) -> Result<(), Trouble> {
    let items = contexts.contexts.iter().map(|(name, context)| {
        serde_json::json!({
            "name": name,
            "url": context.url,
            "current": contexts.current.as_ref() == Some(name),
            "has_token": context.token.is_some(),
        })
    });
    let columns = [
        Column::new("CURRENT", |item| if item["current"] == true { "*" } else { "" }.to_owned()),
        Column::text("NAME", "name"),
        Column::text("URL", "url"),
        Column::wide("TOKEN", |item| if item["has_token"] == true { "kept" } else { "none" }.to_owned()),
    ];
    session.list(&List { items: items.collect(), columns: &columns, name: "name" })
}
