//! The three places a value can come from, each read once and then only looked up.

use super::ConfigError;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The process environment as it was at start. A variable that is set but empty counts as not set, because
/// Compose and env files write `NAME=` for a value that was left out.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// From what `std::env::vars_os` yields; names and values that are not Unicode are kept readable, not exact.
    pub fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self::from_pairs(
            variables
                .into_iter()
                .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())),
        )
    }

    /// From names and values.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(pairs.filter(|(_, value): &(String, String)| !value.trim().is_empty()).collect())
    }

    /// The value of a variable, without blanks around it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What the command line sets: by the name of the setting, the flag and the text given to it.
#[derive(Clone, Debug, Default)]
pub struct Flags(BTreeMap<String, (String, String)>);

impl Flags {
    /// Notes a flag if it was given: `flags.set("GANTRY_PORT", "--port", args.port)`.
    pub fn set(&mut self, name: &str, flag: &str, value: Option<impl ToString>) -> &mut Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), (flag.to_owned(), value.to_string()));
        }
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<(&str, &str)> {
        self.0.get(name).map(|(flag, value)| (flag.as_str(), value.as_str()))
    }
}

/// The configuration file: TOML whose tables are joined with `_`, so that `url` in `[nats]` is `nats_url`.
#[derive(Clone, Debug, Default)]
pub struct File {
    path: PathBuf,
    values: BTreeMap<String, String>,
}

/// Tables in tables deeper than this are refused.
const DEPTH: usize = 4;

impl File {
    /// Reads a file that must exist.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::File { path: path.to_owned(), reason: error.to_string() })?;
        Self::parse(path, &text)
    }

    /// Reads a file, or nothing where there is none.
    pub fn read_if_there(path: &Path) -> Result<Self, ConfigError> {
        if path.exists() { Self::read(path) } else { Ok(Self::default()) }
    }

    /// Takes the text of the file at that path.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError::File { path: path.to_owned(), reason };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| refuse(error.to_string()))?;
        let mut values = BTreeMap::new();
        flatten("", table, DEPTH, &mut values).map_err(refuse)?;
        Ok(Self { path: path.to_owned(), values })
    }

    /// Where it lies; empty when there is none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

fn flatten(prefix: &str, table: toml::Table, depth: usize, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("the tables below '{prefix}' are nested too deeply (at most {DEPTH})"));
    }
    for (key, value) in table {
        let name = if prefix.is_empty() { key } else { format!("{prefix}_{key}") };
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&name, inner, depth - 1, into)?;
                continue;
            }
            plain @ (toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)) => scalar(&plain),
        };
        let text = text.ok_or(format!("'{name}' must be a text, a number, a switch or a list"))?;
        if into.insert(name.clone(), text).is_some() {
            return Err(format!("'{name}' is set twice"));
        }
    }
    Ok(())
}

/// A value as the text that the same setting would have in the environment.
fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Datetime(moment) => Some(moment.to_string()),
        toml::Value::Array(items) => Some(items.iter().map(scalar).collect::<Option<Vec<_>>>()?.join(",")),
        toml::Value::Table(_) => None,
    }
}
