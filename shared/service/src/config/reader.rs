//! Looks values up in order of precedence and remembers each with where it came from.

use super::{CONFIG_FILE, ConfigError, DATA_DIR, DEFAULT_DATA_DIR, Environment, FILE_NAME, File, Flags};
use super::{Secrets, Setting, Value, names};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A flag of the command line.
    Flag(String),
    /// A variable of the environment, by the name under which it was set.
    Environment(String),
    /// The configuration file.
    File(PathBuf),
    /// The default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(text) | Self::Environment(text) => f.write_str(text),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting as `gantry config show` prints it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// The part of the product that reads it.
    pub section: String,
    /// Its variable.
    pub name: String,
    /// Its value, redacted if secret; empty when it is not set.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
    /// What it does, in a few words.
    pub about: String,
    /// Other variables that set it.
    pub aliases: Vec<String>,
}

/// Every setting that was read, and what was set for nothing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Settings {
    /// In the order in which they were read.
    pub entries: Vec<Entry>,
    /// Variables of a deployment of the peer that this product does not read.
    pub ignored: Vec<String>,
}

/// Reads settings. Make one in `main`, hand it to every `config.rs`, then call [`Reader::finish`].
#[derive(Clone, Debug)]
pub struct Reader {
    flags: Flags,
    environment: Environment,
    file: File,
    section: String,
    entries: Vec<Entry>,
    known: BTreeSet<String>,
}

impl Reader {
    /// A reader over these sources.
    pub fn new(flags: Flags, environment: Environment, file: File) -> Self {
        Self { flags, environment, file, section: String::new(), entries: Vec::new(), known: BTreeSet::new() }
    }

    /// A reader that finds its file itself: the one that `GANTRY_CONFIG` names, which must then exist, or else
    /// `gantry.toml` in the data directory, if there is one.
    pub fn open(flags: Flags, environment: Environment) -> Result<Self, ConfigError> {
        let mut reader = Self::new(flags, environment, File::default());
        let named: Option<PathBuf> = reader.value(CONFIG_FILE).about("the configuration file").optional()?;
        let data_dir = reader.data_dir()?;
        reader.file = match named {
            Some(path) => File::read(&path)?,
            None => File::read_if_there(&data_dir.join(FILE_NAME))?,
        };
        // The data directory may also be named in the file, so it is read again by whoever needs it.
        reader.entries.retain(|entry| entry.name != DATA_DIR);
        Ok(reader)
    }

    /// The directory that holds everything durable.
    pub fn data_dir(&mut self) -> Result<PathBuf, ConfigError> {
        self.value(DATA_DIR)
            .alias("ABSTRACTGATEWAY_DATA_DIR")
            .alias("ABSTRACTFLOW_RUNTIME_DIR")
            .alias(names::QUEUE_DB_PATH)
            .about("directory of everything durable; of QUEUE_DB_PATH its directory")
            .default(PathBuf::from(DEFAULT_DATA_DIR))
    }

    /// Names the part of the product whose settings follow.
    pub fn section(&mut self, name: &str) -> &mut Self {
        name.clone_into(&mut self.section);
        self
    }

    /// Looks for a setting of a type that parses itself.
    pub fn value<T: Setting>(&mut self, name: &str) -> Value<'_, T> {
        Value::new(self, name)
    }

    /// Looks for a setting that is one of a few words; case does not matter.
    pub fn choice<T: Clone + PartialEq + 'static>(
        &mut self,
        name: &str,
        choices: &[(&'static str, T)],
    ) -> Value<'_, T> {
        Value::of_choices(self, name, choices)
    }

    /// Looks for secrets that may be set under several names at once, each a list separated by commas.
    pub fn secrets(&mut self, name: &str) -> Secrets<'_> {
        Secrets::new(self, name)
    }

    /// Says that a variable is read elsewhere, so that it is not taken for a mistake.
    pub fn known(&mut self, name: &str) -> &mut Self {
        self.known.insert(name.to_owned());
        self
    }

    /// The configuration file that was found; empty when there is none.
    pub fn file_path(&self) -> &Path {
        self.file.path()
    }

    /// Ends the reading. Fails on a `GANTRY_…` variable or a key of the file that nobody asked for.
    pub fn finish(self) -> Result<Settings, ConfigError> {
        if let Some(name) = self.environment.names().find(|name| self.is_mistake(name)) {
            let closest = names::closest(name, self.known.iter().map(String::as_str));
            return Err(ConfigError::UnknownVariable { name: name.to_owned(), closest });
        }
        let keys: BTreeSet<String> = self.known.iter().map(|name| names::file_key(name)).collect();
        if let Some(key) = self.file.keys().find(|key| !keys.contains(*key)) {
            let closest = names::closest(key, keys.iter().map(String::as_str));
            return Err(ConfigError::UnknownKey { key: key.to_owned(), file: self.file.path().to_owned(), closest });
        }
        let ignored = self.environment.names().filter(|name| names::is_peer(name) && !self.known.contains(*name));
        Ok(Settings { ignored: ignored.map(str::to_owned).collect(), entries: self.entries })
    }

    fn is_mistake(&self, name: &str) -> bool {
        name.starts_with(names::PREFIX) && !self.known.contains(name) && !names::is_service_link(name)
    }

    /// Every text set for one of the names, strongest first. The first name is the setting's own.
    pub(super) fn lookup(&mut self, all_names: &[String]) -> Vec<(Source, String)> {
        self.known.extend(all_names.iter().cloned());
        let own = all_names.first().map_or("", String::as_str);
        let flag = self.flags.get(own).map(|(flag, text)| (Source::Flag(flag.to_owned()), text.to_owned()));
        let variables = all_names.iter().filter_map(|name| {
            self.environment.get(name).map(|text| (Source::Environment(name.clone()), names::meaning(name, text)))
        });
        let key = names::file_key(own);
        let file = self.file.get(&key).map(|text| (Source::File(self.file.path().to_owned()), text.to_owned()));
        flag.into_iter().chain(variables).chain(file).collect()
    }

    /// Notes a value; what several services read is noted once.
    pub(super) fn note(&mut self, all_names: &[String], value: String, source: Source, about: &str) {
        let Some((name, aliases)) = all_names.split_first() else {
            return;
        };
        if self.entries.iter().any(|entry| entry.name == *name) {
            return;
        }
        self.entries.push(Entry {
            section: self.section.clone(),
            name: name.clone(),
            value,
            source,
            about: about.to_owned(),
            aliases: aliases.to_vec(),
        });
    }
}
