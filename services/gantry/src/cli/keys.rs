//! `gantry keys`: keys for model traffic, to be put into the proxy's file by their hashes.

use super::output::One;
use super::{Exit, Session, Trouble, output};
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;
use std::io::Read;

/// Longest key that is read.
const MOST: u64 = 4_096;

/// Commands on keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key: prints it, this once, and the hash for the proxy's file
    New,
    /// Print the hash of a key that is read from standard input
    Hash,
}

pub(super) fn run(command: &KeysCommand, session: &mut Session) -> Result<Exit, Trouble> {
    let (key, hash) = match command {
        KeysCommand::New => {
            let (key, hash) = proxy::new_key();
            (Some(key.expose_secret().to_owned()), hash)
        }
        KeysCommand::Hash => (None, proxy::hash_key(&read()?)),
    };
    let mut value = json!({ "hash": hash });
    let mut lines = vec![format!("hash  {hash}")];
    if let Some(key) = key {
        lines.insert(0, format!("key   {key}"));
        value = json!({ "key": key, "hash": hash });
        session.screen.remark("the key is shown this once; the proxy's file takes the hash");
    }
    output::one(&mut session.screen, session.global.output, &One { value, name: hash, lines })?;
    Ok(Exit::Ok)
}

fn read() -> Result<String, Trouble> {
    let mut text = String::new();
    let read = std::io::stdin().take(MOST).read_to_string(&mut text);
    read.map_err(|error| Trouble::new("cannot read the key", error).next("printf KEY | gantry keys hash"))?;
    match text.trim() {
        "" => Err(Trouble::usage("cannot hash", "standard input is empty").next("printf KEY | gantry keys hash")),
        key => Ok(key.to_owned()),
    }
}
