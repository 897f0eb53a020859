//! Why the settings cannot be used; each error names the variable and what it would accept.

use super::Source;
use std::path::PathBuf;

/// A setting or a source of settings that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A value that does not parse or is out of bounds. `shown` is empty for secrets.
    #[error("{name} (from {source_text}) is {shown}: expected {accepted}", source_text = .source_of)]
    Unusable {
        /// The setting's own name.
        name: String,
        /// Where the value came from.
        source_of: Source,
        /// The value in quotes, or a word that hides it.
        shown: String,
        /// What would be accepted.
        accepted: String,
    },
    /// A setting without a default that nobody set.
    #[error("{name} is not set: expected {accepted}")]
    Missing {
        /// The setting's own name.
        name: String,
        /// What would be accepted.
        accepted: String,
    },
    /// A variable of our own prefix that nothing reads.
    #[error("{name} is not a variable of gantry{}", hint(.closest))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The known one that looks most like it.
        closest: Option<String>,
    },
    /// A key of the file that nothing reads.
    #[error("'{key}' in {} is not a setting of gantry{}", .file.display(), hint(.closest))]
    UnknownKey {
        /// The key, tables joined with `_`.
        key: String,
        /// The file.
        file: PathBuf,
        /// The known one that looks most like it.
        closest: Option<String>,
    },
    /// A configuration file that cannot be read or parsed.
    #[error("the configuration file {} cannot be used: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

fn hint(closest: &Option<String>) -> String {
    match closest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; `gantry config show` lists the known ones".to_owned(),
    }
}
