//! Where callbacks and webhooks may go: one setting for whoever takes such an address, and for whoever sends to it.

use crate::config::{ConfigError, Reader};
use domain::notices::AllowedTargets;

/// Reads it. An entry that is none is an error that names the setting.
pub fn read(reader: &mut Reader) -> Result<AllowedTargets, ConfigError> {
    let parse = |entries: &Vec<String>| AllowedTargets::parse(entries.iter().map(String::as_str));
    let entries: Vec<String> = reader
        .value("GANTRY_NOTIFY_ALLOW_TARGETS")
        .about("private hosts, addresses or networks that webhooks and callbacks may go to; all permits every one")
        .check("a list such as build.lan,10.0.0.0/8 or all", move |entries: &Vec<String>| parse(entries).is_ok())
        .default(Vec::new())?;
    Ok(parse(&entries).unwrap_or_default())
}
