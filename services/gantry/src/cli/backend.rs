//! `gantry backend`: model servers that every proxy knows, added and removed while requests run.

use super::output::{Column, List, text_of};
use super::settled::settled;
use super::{Exit, RequestError, Session, Trouble, plain};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::Read;

/// Longest key that is read.
const MOST: u64 = 8_192;
/// What takes a setting away.
const NONE: &str = "none";

/// Commands on model servers.
#[derive(Clone, Debug, Subcommand)]
pub enum BackendCommand {
    /// Add a model server
    #[command(visible_alias = "add")]
    Create(Box<Backend>),
    /// List model servers, those of the proxies' own settings too
    #[command(visible_alias = "ls")]
    List,
    /// Show a model server, and how it stands at each proxy
    Show(Name),
    /// Change a model server; what is not named stays
    Update(Box<Backend>),
    /// Remove a model server that no stored model names
    #[command(visible_alias = "rm")]
    Remove(Name),
}

/// Which one.
#[derive(Clone, Debug, Args)]
pub struct Name {
    /// Its name
    pub(super) name: String,
}

/// A model server.
#[derive(Clone, Debug, Args)]
pub struct Backend {
    /// Its name
    name: String,
    /// What speaks there: vllm, ollama, llamacpp, tgi, sglang, localai, lmstudio or openai
    #[arg(long)]
    kind: Option<String>,
    /// Its URL, such as http://vllm:8001/v1
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Read its key from standard input; empty for none
    #[arg(long)]
    api_key_stdin: bool,
    /// A file with its key on the proxies' machines, in the folder that GANTRY_PROXY_KEY_DIR names; or none
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_stdin")]
    api_key_file: Option<String>,
    /// Requests it takes at once, or none for no bound
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<String>,
    /// What it can do, where that differs from its kind, or none for what its kind can
    #[arg(long = "capability", value_name = "CAPABILITY", value_delimiter = ',')]
    capabilities: Option<Vec<String>>,
    /// Seconds without a request after which it is put to sleep, or none
    #[arg(long, value_name = "SECONDS")]
    sleep_after: Option<String>,
    /// What becomes of its request when the client leaves: propagate, drain or abort, or none for what its kind does
    #[arg(long, value_name = "RULE")]
    on_disconnect: Option<String>,
}

/// Carries out a command on model servers.
pub(super) async fn run(command: BackendCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        BackendCommand::Create(backend) => {
            let answer = session.client()?.put_new(&["backends", &backend.name], &body(&backend)?).await;
            let stored = answer.map_err(|error| trouble(&error, "cannot add the backend"))?;
            show(settled("backends", &backend.name, stored, session).await?, session)
        }
        BackendCommand::List => list(session).await,
        BackendCommand::Show(backend) => {
            let answer = session.client()?.get(&["backends", &backend.name], &[]).await;
            show(answer.map_err(|error| trouble(&error, "cannot show the backend"))?, session)
        }
        BackendCommand::Update(backend) => {
            let answer = session.client()?.patch(&["backends", &backend.name], &body(&backend)?).await;
            let stored = answer.map_err(|error| trouble(&error, "cannot change the backend"))?;
            show(settled("backends", &backend.name, stored, session).await?, session)
        }
        BackendCommand::Remove(backend) => {
            let answer = session.client()?.delete(&["backends", &backend.name], &[]).await;
            let value = answer.map_err(|error| trouble(&error, "cannot remove the backend"))?;
            session.one(value, &backend.name, vec![format!("the backend '{}' is gone", plain(&backend.name))])?;
            Ok(Exit::Ok)
        }
    }
}

async fn list(session: &mut Session) -> Result<Exit, Trouble> {
    let answer = session.client()?.get(&["backends"], &[]).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot list the backends"))?;
    let items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_empty = items.is_empty();
    let columns = [
        Column::text("BACKEND", "name"),
        Column::text("KIND", "kind"),
        Column::text("URL", "base_url"),
        Column::new("STATE", standing),
        Column::new("MODELS", |backend| words(&backend["models"])),
        Column::text("SOURCE", "source"),
        Column::wide("AT ONCE", |backend| text_of(&backend["concurrency"])),
        Column::wide("KEY", |backend| if backend["has_api_key"] == true { "yes".to_owned() } else { String::new() }),
        Column::wide("REVISION", |backend| text_of(&backend["revision"])),
    ];
    session.list(&List { items, columns: &columns, name: "name" })?;
    if is_empty {
        session.screen.remark("no backends; add one with `gantry backend create NAME --kind KIND --base-url URL`");
    }
    Ok(Exit::Ok)
}

/// How it stands at the proxies, in a few words.
pub(super) fn standing(item: &Value) -> String {
    if let Some(why) = item["unreadable"].as_str() {
        return format!("unreadable: {why}");
    }
    let proxies = item["proxies"].as_array().map(Vec::as_slice).unwrap_or_default();
    if proxies.is_empty() {
        return "no proxy runs".to_owned();
    }
    if let Some(over) = proxies.iter().find(|proxy| proxy["state"] == "passed_over") {
        return format!("passed over: {}", text_of(&over["because"]));
    }
    let behind = proxies.iter().filter(|proxy| proxy["state"] == "behind").count();
    match (behind, proxies.iter().find(|proxy| proxy["healthy"] == false)) {
        (0, Some(unwell)) => format!("unwell: {}", text_of(&unwell["because"])),
        (0, None) => "in force".to_owned(),
        (behind, _) => format!("in force at {} of {} proxies", proxies.len() - behind, proxies.len()),
    }
}

/// A thing with its fields in lines.
pub(super) fn show(value: Value, session: &mut Session) -> Result<Exit, Trouble> {
    let mut lines = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "proxies") {
        let text = match value {
            Value::Null => continue,
            Value::Array(items) if items.iter().all(Value::is_string) => words(value),
            Value::Array(items) => items.iter().map(pairs).collect::<Vec<_>>().join("; "),
            Value::Object(_) => pairs(value),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => text_of(value),
        };
        lines.push(plain(&format!("{name:<16} {text}")));
    }
    for proxy in value["proxies"].as_array().into_iter().flatten() {
        let because = proxy["because"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
        let well = if proxy["healthy"] == false { ", unwell" } else { "" };
        let state = text_of(&proxy["state"]).replace('_', " ");
        lines.push(plain(&format!("{:<16} {} {state}{well}{because}", "proxy", text_of(&proxy["proxy"]))));
    }
    let name = text_of(&value["name"]);
    session.one(value, &name, lines)?;
    Ok(Exit::Ok)
}

fn pairs(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten().map(|(name, value)| format!("{name}={}", text_of(value)));
    pairs.collect::<Vec<_>>().join(" ")
}

/// Texts in a row.
pub(super) fn words(list: &Value) -> String {
    let words: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.join(",")
}

/// The fields that were said.
fn body(backend: &Backend) -> Result<Value, Trouble> {
    let mut body = Map::new();
    for (name, text) in [("kind", &backend.kind), ("base_url", &backend.base_url)] {
        if let Some(text) = text {
            body.insert(name.to_owned(), json!(text));
        }
    }
    if backend.api_key_stdin {
        let key = read()?;
        body.insert("api_key".to_owned(), if key.is_empty() { Value::Null } else { json!(key) });
    }
    if let Some(file) = &backend.api_key_file {
        body.insert("api_key_file".to_owned(), if file == NONE { Value::Null } else { json!(file) });
    }
    if let Some(rule) = &backend.on_disconnect {
        body.insert("on_disconnect".to_owned(), if rule == NONE { Value::Null } else { json!(rule) });
    }
    number(&mut body, "concurrency", "concurrency", backend.concurrency.as_deref())?;
    number(&mut body, "sleep_after_s", "sleep-after", backend.sleep_after.as_deref())?;
    texts(&mut body, "capabilities", backend.capabilities.as_deref());
    Ok(Value::Object(body))
}

/// A list that was said; the one word `none` empties it.
pub(super) fn texts(body: &mut Map<String, Value>, name: &str, words: Option<&[String]>) {
    if let Some(words) = words {
        let none = matches!(words, [only] if only == NONE);
        body.insert(name.to_owned(), if none { Value::Null } else { json!(words) });
    }
}

/// A number that was said; `none` takes it away.
pub(super) fn number(body: &mut Map<String, Value>, name: &str, flag: &str, text: Option<&str>) -> Result<(), Trouble> {
    let Some(text) = text else { return Ok(()) };
    let value = match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => json!(number),
        (Err(_), Ok(number)) => json!(number),
        (Err(_), Err(_)) if text == NONE => Value::Null,
        (Err(_), Err(_)) => {
            let why = format!("--{flag} is '{text}', and neither a number nor '{NONE}'");
            return Err(Trouble::usage("cannot read the command", why));
        }
    };
    body.insert(name.to_owned(), value);
    Ok(())
}

/// A refusal as a person reads it.
fn trouble(error: &RequestError, what: &str) -> Trouble {
    match error {
        RequestError::Refused { status: 404, .. } => Trouble::new(what, error).next("gantry backend list"),
        RequestError::Refused { .. } | RequestError::Unreachable { .. } | RequestError::NotAGateway { .. } => {
            error.trouble(what)
        }
    }
}

fn read() -> Result<String, Trouble> {
    let mut text = String::new();
    let read = std::io::stdin().take(MOST).read_to_string(&mut text);
    read.map_err(|error| {
        Trouble::new("cannot read the key", error).next("printf KEY | gantry backend … --api-key-stdin")
    })?;
    Ok(text.trim().to_owned())
}
