//! One reader for every setting: flags over environment over file over default.
//!
//! A service keeps one plain struct in its `config.rs` and fills it from a [`Reader`]:
//!
//! ```
//! use service::config::{ConfigError, Environment, Flags, Reader};
//!
//! struct Config {
//!     port: u16,
//!     poll: std::time::Duration,
//! }
//!
//! fn read(reader: &mut Reader) -> Result<Config, ConfigError> {
//!     Ok(Config {
//!         port: reader.value("GANTRY_PORT").alias("ABSTRACTGATEWAY_PORT").about("HTTP port").default(8080)?,
//!         poll: reader.value("GANTRY_POLL_S").default(std::time::Duration::from_millis(250))?,
//!     })
//! }
//!
//! let environment = Environment::from_pairs([("ABSTRACTGATEWAY_PORT", "9000")]);
//! let mut reader = Reader::open(Flags::default(), environment)?;
//! let config = read(&mut reader)?;
//! assert_eq!(config.port, 9000);
//! let settings = reader.finish()?;
//! assert_eq!(settings.entries[1].source.to_string(), "ABSTRACTGATEWAY_PORT");
//! # Ok::<(), ConfigError>(())
//! ```
//!
//! The process environment is taken once, in `main`, and handed in as an [`Environment`].

mod error;
mod names;
mod reader;
mod setting;
mod sources;
#[cfg(test)]
mod tests;
mod value;

pub use error::ConfigError;
pub use names::QUEUE_DB_PATH;
pub use reader::{Entry, Reader, Settings, Source};
pub use secrecy::{ExposeSecret, SecretString};
pub use setting::Setting;
pub use sources::{Environment, File, Flags};
pub use value::{Secrets, Value};

/// The variable that names the data directory.
pub const DATA_DIR: &str = "GANTRY_DATA_DIR";
/// The data directory when nobody names one: in the working directory.
pub const DEFAULT_DATA_DIR: &str = ".gantry";
/// The variable that names the configuration file.
pub const CONFIG_FILE: &str = "GANTRY_CONFIG";
/// The configuration file's name inside the data directory.
pub const FILE_NAME: &str = "gantry.toml";

/// What a secret looks like wherever settings are shown.
pub const REDACTED: &str = "[redacted]";
