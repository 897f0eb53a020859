//! `gantry model`: models with names, replicas, fallbacks and times of their own, changed while requests run.

use super::backend::{Name, number, show, standing, texts, words};
use super::output::{Column, List, text_of};
use super::settled::settled;
use super::{Exit, RequestError, Session, Trouble, plain};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

/// Commands on models.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelCommand {
    /// Add a model
    #[command(visible_alias = "add")]
    Create(Box<Model>),
    /// List models with an entry; `curl …/v1/models` lists all that can be asked
    #[command(visible_alias = "ls")]
    List,
    /// Show a model's entry, and how it stands at each proxy
    Show(Name),
    /// Change a model; what is not named stays
    Update(Box<Model>),
    /// Remove a model's entry
    #[command(visible_alias = "rm")]
    Remove(Name),
}

/// A model.
#[derive(Clone, Debug, Args)]
pub struct Model {
    /// As clients name it
    name: String,
    /// Another name; or none for none
    #[arg(long = "alias", value_name = "NAME", value_delimiter = ',')]
    aliases: Option<Vec<String>>,
    /// Where it runs, one after the other: BACKEND, or BACKEND,model=NAME,weight=COUNT; or none, as for a model of
    /// registered services
    #[arg(long = "replica", value_name = "REPLICA")]
    replicas: Option<Vec<String>>,
    /// A model that serves in its place when no replica answers, in order; or none
    #[arg(long = "fallback", value_name = "MODEL", value_delimiter = ',')]
    fallbacks: Option<Vec<String>>,
    /// Requests that may wait for it, or none for the bound of the settings
    #[arg(long, value_name = "COUNT")]
    queue: Option<String>,
    /// Seconds until a backend takes the connection, or none
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<String>,
    /// Longest wait in its queue, or none
    #[arg(long, value_name = "SECONDS")]
    queue_timeout: Option<String>,
    /// Longest wait for a server that sleeps, or for a service to start, or none
    #[arg(long, value_name = "SECONDS")]
    start_timeout: Option<String>,
    /// Until a stream's first event, or none
    #[arg(long, value_name = "SECONDS")]
    first_token_timeout: Option<String>,
    /// From one event to the next, or none
    #[arg(long, value_name = "SECONDS")]
    between_tokens_timeout: Option<String>,
    /// Longest request, or none
    #[arg(long, value_name = "SECONDS")]
    total_timeout: Option<String>,
}

/// Carries out a command on models.
pub(super) async fn run(command: ModelCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        ModelCommand::Create(model) => {
            let answer = session.client()?.put_new(&["models", &model.name], &body(&model)?).await;
            let stored = answer.map_err(|error| trouble(&error, "cannot add the model"))?;
            show(settled("models", &model.name, stored, session).await?, session)
        }
        ModelCommand::List => list(session).await,
        ModelCommand::Show(model) => {
            let answer = session.client()?.get(&["models", &model.name], &[]).await;
            show(answer.map_err(|error| trouble(&error, "cannot show the model"))?, session)
        }
        ModelCommand::Update(model) => {
            let answer = session.client()?.patch(&["models", &model.name], &body(&model)?).await;
            let stored = answer.map_err(|error| trouble(&error, "cannot change the model"))?;
            show(settled("models", &model.name, stored, session).await?, session)
        }
        ModelCommand::Remove(model) => {
            let answer = session.client()?.delete(&["models", &model.name], &[]).await;
            let value = answer.map_err(|error| trouble(&error, "cannot remove the model"))?;
            session.one(
                value,
                &model.name,
                vec![format!("the model '{}' has no entry any more", plain(&model.name))],
            )?;
            Ok(Exit::Ok)
        }
    }
}

async fn list(session: &mut Session) -> Result<Exit, Trouble> {
    let answer = session.client()?.get(&["models"], &[]).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot list the models"))?;
    let items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_empty = items.is_empty();
    let columns = [
        Column::text("MODEL", "name"),
        Column::new("ALIASES", |model| words(&model["aliases"])),
        Column::new("REPLICAS", |model| {
            let replicas = model["replicas"].as_array().into_iter().flatten().map(replica);
            replicas.collect::<Vec<_>>().join(" ")
        }),
        Column::new("FALLBACKS", |model| words(&model["fallbacks"])),
        Column::new("STATE", standing),
        Column::text("SOURCE", "source"),
        Column::wide("QUEUE", |model| text_of(&model["queue"])),
        Column::wide("TIMEOUTS", |model| {
            let times = model["timeouts"].as_object().into_iter().flatten();
            let times = times.map(|(name, seconds)| format!("{}={seconds}", name.trim_end_matches("_s")));
            times.collect::<Vec<_>>().join(" ")
        }),
        Column::wide("REVISION", |model| text_of(&model["revision"])),
    ];
    session.list(&List { items, columns: &columns, name: "name" })?;
    if is_empty {
        session.screen.remark("no model has an entry; add one with `gantry model create NAME --replica BACKEND`");
    }
    Ok(Exit::Ok)
}

/// A replica as it is written on the command line.
fn replica(value: &Value) -> String {
    let part = |name: &str| {
        let said = &value[name];
        if said.is_null() { String::new() } else { format!(",{name}={}", text_of(said)) }
    };
    format!("{}{}{}", text_of(&value["backend"]), part("model"), part("weight"))
}

/// `BACKEND,model=NAME,weight=COUNT`
fn read_replica(text: &str) -> Result<Value, Trouble> {
    let refuse = |why: String| Trouble::usage("cannot read the replica", format!("--replica {text}: {why}"));
    let mut parts = text.split(',');
    let mut replica = json!({"backend": parts.next().unwrap_or_default()});
    for part in parts {
        match part.split_once('=') {
            Some(("model", name)) => replica["model"] = json!(name),
            Some(("weight", weight)) => {
                let number: u32 = weight.parse().map_err(|_| refuse(format!("the weight '{weight}' is no number")))?;
                replica["weight"] = json!(number);
            }
            Some(_) | None => return Err(refuse(format!("'{part}' is neither model=NAME nor weight=COUNT"))),
        }
    }
    Ok(replica)
}

/// The fields that were said.
fn body(model: &Model) -> Result<Value, Trouble> {
    let mut body = Map::new();
    texts(&mut body, "aliases", model.aliases.as_deref());
    texts(&mut body, "fallbacks", model.fallbacks.as_deref());
    match model.replicas.as_deref() {
        None => {}
        Some([only]) if only == "none" => drop(body.insert("replicas".to_owned(), Value::Null)),
        Some(replicas) => {
            let replicas = replicas.iter().map(|text| read_replica(text)).collect::<Result<Vec<_>, _>>()?;
            body.insert("replicas".to_owned(), json!(replicas));
        }
    }
    number(&mut body, "queue", "queue", model.queue.as_deref())?;
    let mut times = Map::new();
    for (name, flag, text) in [
        ("connect_s", "connect-timeout", &model.connect_timeout),
        ("queue_s", "queue-timeout", &model.queue_timeout),
        ("start_s", "start-timeout", &model.start_timeout),
        ("first_token_s", "first-token-timeout", &model.first_token_timeout),
        ("between_tokens_s", "between-tokens-timeout", &model.between_tokens_timeout),
        ("total_s", "total-timeout", &model.total_timeout),
    ] {
        number(&mut times, name, flag, text.as_deref())?;
    }
    if !times.is_empty() {
        body.insert("timeouts".to_owned(), Value::Object(times));
    }
    Ok(Value::Object(body))
}

fn trouble(error: &RequestError, what: &str) -> Trouble {
    match error {
        RequestError::Refused { status: 404, .. } => Trouble::new(what, error).next("gantry model list"),
        RequestError::Refused { .. } | RequestError::Unreachable { .. } | RequestError::NotAGateway { .. } => {
            error.trouble(what)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_reads_as_it_is_written() {
        for text in ["big", "big,model=Qwen/Qwen3-32B:4bit", "big,model=m,weight=3", "big,weight=2"] {
            assert_eq!(replica(&read_replica(text).unwrap()), text);
        }
        for (text, word) in [("big,weight=x", "no number"), ("big,colour=red", "model=NAME"), ("big,m", "model=NAME")] {
            assert!(read_replica(text).unwrap_err().why.contains(word), "{text}");
        }
    }
}
