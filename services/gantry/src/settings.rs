//! Every section of settings. Whoever adds a service adds its section here, and `gantry config show` knows it.

use crate::cli::connection::{DEFAULT_URL, TOKEN_ALIASES, TOKEN_VARIABLE, URL_ALIAS, URL_VARIABLE};
use service::config::{ConfigError, Reader};

/// A part of the product that has settings.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, as `gantry config show` prints it.
    pub name: &'static str,
    /// Reads them all; what they are good for is not of interest here.
    pub read: fn(&mut Reader) -> Result<(), ConfigError>,
}

/// The sections, in the order in which they are shown.
pub const SECTIONS: &[Section] = &[
    Section { name: "process", read: process },
    Section { name: "api", read: api },
    Section { name: "runner", read: runner },
    Section { name: "proxy", read: proxy },
    Section { name: "scheduler", read: scheduler },
    Section { name: "gpu-monitor", read: gpu_monitor },
    Section { name: "notifier", read: notifier },
    Section { name: "client", read: client },
];

/// Reads every section, so that each variable is known whichever service runs.
pub fn read_all(reader: &mut Reader) -> Result<(), ConfigError> {
    SECTIONS.iter().try_for_each(|section| {
        reader.section(section.name);
        (section.read)(reader)
    })
}

fn process(reader: &mut Reader) -> Result<(), ConfigError> {
    crate::process::ProcessConfig::read(reader)?;
    service::logging::read(reader, "gantry")?;
    Ok(())
}

fn api(reader: &mut Reader) -> Result<(), ConfigError> {
    ::api::ApiConfig::read(reader).map(|_| ())
}

fn runner(reader: &mut Reader) -> Result<(), ConfigError> {
    ::runner::Config::read(reader, "http://127.0.0.1:8000/v1").map(|_| ())
}

fn proxy(reader: &mut Reader) -> Result<(), ConfigError> {
    ::proxy::Config::read(reader)?;
    ::proxy::read_address(reader).map(|_| ())
}

fn scheduler(reader: &mut Reader) -> Result<(), ConfigError> {
    ::scheduler::Config::read(reader).map(|_| ())
}

fn gpu_monitor(reader: &mut Reader) -> Result<(), ConfigError> {
    ::gpu_monitor::Config::read(reader).map(|_| ())
}

fn notifier(reader: &mut Reader) -> Result<(), ConfigError> {
    ::notifier::Config::read(reader).map(|_| ())
}

fn client(reader: &mut Reader) -> Result<(), ConfigError> {
    let url = reader.value(URL_VARIABLE).alias(URL_ALIAS);
    url.about("the gateway that the client speaks to").default(DEFAULT_URL.to_owned())?;
    reader.value::<String>("GANTRY_CONTEXT").about("the context of the client").optional()?;
    let tokens = reader.secrets(TOKEN_VARIABLE).about("bearer tokens; the client sends the first");
    TOKEN_ALIASES.iter().fold(tokens, |tokens, alias| tokens.alias(alias)).all();
    Ok(())
}
