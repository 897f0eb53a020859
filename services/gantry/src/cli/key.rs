//! `gantry key`: API keys of model traffic, made and revoked on every proxy at once; and hashes for the proxy's file.

use super::output::{Column, List, One, text_of};
use super::{Exit, RequestError, Session, Trouble, output, plain};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::io::Read;

/// Longest key that is read.
const MOST: u64 = 4_096;
/// What takes a limit away.
const NONE: &str = "none";

/// Commands on keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is printed, this once
    Create(Create),
    /// List keys
    #[command(visible_alias = "ls")]
    List {
        /// Revoked ones too
        #[arg(long)]
        all: bool,
    },
    /// Show what a key may, and what it has used
    Show(Name),
    /// Change what a key may
    Update(Create),
    /// Revoke a key for ever, at every proxy at once
    #[command(visible_alias = "rm")]
    Revoke(Name),
    /// Make a key without a gateway: prints it, and the hash for the proxy's file
    New,
    /// Print the hash, for the proxy's file, of a key that is read from standard input
    Hash,
}

/// Which key.
#[derive(Clone, Debug, Args)]
pub struct Name {
    /// Its name
    name: String,
}

/// A key and what it may. Counts are over all proxies.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Its name
    name: String,
    /// What it may do: inference, models, admin; not said, the first two
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// A model it may use; not said, all
    #[arg(long = "model", value_name = "MODEL", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Who is charged; not said, the key's name
    #[arg(long)]
    tenant: Option<String>,
    /// Requests in a minute, or none
    #[arg(long, value_name = "COUNT")]
    requests_per_minute: Option<String>,
    /// Tokens in a minute, in and out, or none
    #[arg(long, value_name = "COUNT")]
    tokens_per_minute: Option<String>,
    /// Requests at once, or none
    #[arg(long, value_name = "COUNT")]
    concurrent: Option<String>,
    /// Tokens in all, in and out, or none
    #[arg(long, value_name = "TOKENS")]
    token_budget: Option<String>,
    /// Its weight in queues beside other tenants
    #[arg(long, value_name = "COUNT")]
    weight: Option<String>,
    /// Higher goes first in queues
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<String>,
}

/// Carries out a command on keys.
pub(super) async fn run(command: KeyCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        KeyCommand::Create(create) => make(&create, session).await,
        KeyCommand::List { all } => list(all, session).await,
        KeyCommand::Show(key) => {
            let answer = session.client()?.get(&["keys", &key.name], &[]).await;
            show(answer.map_err(|error| trouble(&error, "cannot show the key"))?, session)
        }
        KeyCommand::Update(change) => {
            let answer = session.client()?.patch(&["keys", &change.name], &body(&change)?).await;
            show(answer.map_err(|error| trouble(&error, "cannot change the key"))?, session)
        }
        KeyCommand::Revoke(key) => {
            let answer = session.client()?.delete(&["keys", &key.name], &[]).await;
            let value = answer.map_err(|error| trouble(&error, "cannot revoke the key"))?;
            session.screen.remark(&format!("the key '{}' is good for nothing any more", plain(&key.name)));
            show(value, session)
        }
        KeyCommand::New => {
            let (key, hash) = proxy::new_key();
            local(Some(key.expose_secret()), hash, session)
        }
        KeyCommand::Hash => local(None, proxy::hash_key(&read()?), session),
    }
}

async fn make(create: &Create, session: &mut Session) -> Result<Exit, Trouble> {
    let mut wanted = body(create)?;
    wanted["name"] = json!(create.name);
    let answer = session.client()?.post(&["keys"], &wanted, &[]).await;
    let value = answer.map_err(|error| trouble(&error, "cannot make the key"))?;
    session.screen.remark("the key is shown this once; whoever has it sends it as a bearer token or as x-api-key");
    let all = session.client()?.get(&["keys"], &[("include_revoked", "true".to_owned())]).await;
    if all.is_ok_and(|all| all["items"].as_array().is_some_and(|keys| keys.len() == 1)) {
        session
            .screen
            .remark("it is the first one: without a key /v1 answers nobody from now on, on this machine neither");
    }
    let key = text_of(&value["key"]);
    session.one(value, &key.clone(), vec![key])?;
    Ok(Exit::Ok)
}

async fn list(all: bool, session: &mut Session) -> Result<Exit, Trouble> {
    let answer = session.client()?.get(&["keys"], &[("include_revoked", all.to_string())]).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot list the keys"))?;
    let items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_empty = items.is_empty();
    let columns = [
        Column::text("KEY", "name"),
        Column::text("STATE", "state"),
        Column::new("MODELS", |key| words(&key["models"])),
        Column::text("REQUESTS/MIN", "requests_per_minute"),
        Column::text("TOKENS/MIN", "tokens_per_minute"),
        Column::text("AT ONCE", "concurrent"),
        Column::text("USED", "tokens_used"),
        Column::text("BUDGET", "token_budget"),
        Column::wide("TENANT", |key| text_of(&key["tenant"])),
        Column::wide("SCOPES", |key| words(&key["scopes"])),
        Column::wide("ID", |key| text_of(&key["id"])),
    ];
    session.list(&List { items, columns: &columns, name: "name" })?;
    if is_empty {
        session.screen.remark("no keys; make one with `gantry key create NAME`");
    }
    Ok(Exit::Ok)
}

fn show(value: Value, session: &mut Session) -> Result<Exit, Trouble> {
    let lines = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let lines = lines.map(|(name, value)| {
        let text = if value.is_array() { words(value) } else { text_of(value) };
        plain(&format!("{name:<20} {text}"))
    });
    let (lines, name) = (lines.collect(), text_of(&value["name"]));
    session.one(value, &name, lines)?;
    Ok(Exit::Ok)
}

/// A list of which an empty one is no limit.
fn words(list: &Value) -> String {
    let words: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if words.is_empty() { "all".to_owned() } else { words.join(",") }
}

/// The fields that were said.
fn body(key: &Create) -> Result<Value, Trouble> {
    let mut body = json!({});
    let numbers = [
        ("requests_per_minute", &key.requests_per_minute),
        ("tokens_per_minute", &key.tokens_per_minute),
        ("concurrent", &key.concurrent),
        ("token_budget", &key.token_budget),
        ("weight", &key.weight),
        ("priority", &key.priority),
    ];
    for (name, text) in numbers {
        let Some(text) = text else { continue };
        body[name] = match text.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) if text == NONE => Value::Null,
            Err(_) => {
                let flag = name.replace('_', "-");
                return Err(Trouble::usage("cannot read the limit", format!("--{flag} is '{text}', and no number")));
            }
        };
    }
    for (name, words) in [("scopes", &key.scopes), ("models", &key.models)] {
        if let Some(words) = words {
            body[name] = json!(words);
        }
    }
    if let Some(tenant) = &key.tenant {
        body["tenant"] = json!(tenant);
    }
    Ok(body)
}

fn trouble(error: &RequestError, what: &str) -> Trouble {
    match error {
        RequestError::Refused { status: 404, .. } => Trouble::new(what, error).next("gantry key list"),
        RequestError::Refused { .. } | RequestError::Unreachable { .. } | RequestError::NotAGateway { .. } => {
            error.trouble(what)
        }
    }
}

fn local(key: Option<&str>, hash: String, session: &mut Session) -> Result<Exit, Trouble> {
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
    read.map_err(|error| Trouble::new("cannot read the key", error).next("printf KEY | gantry key hash"))?;
    match text.trim() {
        "" => Err(Trouble::usage("cannot hash", "standard input is empty").next("printf KEY | gantry key hash")),
        key => Ok(key.to_owned()),
    }
}
