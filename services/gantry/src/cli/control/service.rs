//! `gantry services` and `gantry service`.

use super::super::output::{Column, text_of};
use super::super::{Exit, Session, Trouble, short};
use super::listing::{Listing, Watching};
use super::{client, text, trouble};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Which services are listed.
#[derive(Clone, Debug, Args)]
pub struct Services {
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only enabled ones, or only disabled ones with =false
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    enabled: Option<bool>,
    #[command(flatten)]
    watching: Watching,
}

/// A command on a service, or the service itself.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct ServiceOr {
    /// A service to show
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(subcommand)]
    command: Option<ServiceCommand>,
}

/// Shows a service, or carries out a command on it.
pub(super) async fn show_or_run(given: ServiceOr, session: &mut Session) -> Result<Exit, Trouble> {
    match (given.command, given.name) {
        (Some(command), _) => run(command, session).await,
        (None, Some(name)) => show(&name, session).await,
        (None, None) => {
            Err(Trouble::usage("nothing to do", "neither a service nor a command").next("gantry service --help"))
        }
    }
}

/// Commands on a service.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Show a service: its registration and how it stands
    Show(Name),
    /// Register a service: a container that is there, one to be made from a file, or an address
    Register(Box<Register>),
    /// Remove a registration
    #[command(visible_alias = "rm")]
    Unregister(Name),
    /// Let a service take jobs
    Enable(Name),
    /// Let a service take no jobs
    Disable(Name),
    /// Start a service and wait until it is healthy
    Start(Name),
    /// Stop a service, its jobs first
    Stop(Stop),
    /// Stop and start a service
    Restart(Stop),
}

/// Which service.
#[derive(Clone, Debug, Args)]
pub struct Name {
    /// Its name
    name: String,
}

/// How a service is stopped.
#[derive(Clone, Debug, Args)]
pub struct Stop {
    /// Its name
    name: String,
    /// Stop at once; jobs under way go back into the queue
    #[arg(long)]
    no_drain: bool,
}

/// What is registered.
#[derive(Clone, Debug, Args)]
pub struct Register {
    /// Its name
    name: String,
    /// Its container's name
    #[arg(required_unless_present_any = ["address", "file"])]
    container: Option<String>,
    /// The port it serves
    #[arg(required_unless_present_any = ["address", "file"])]
    port: Option<u16>,
    /// The type of job it takes
    #[arg(required_unless_present_any = ["kind", "file"])]
    kind_word: Option<String>,
    /// The type of job it takes
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// The address of a service without a container
    #[arg(long, value_name = "URL", conflicts_with = "container")]
    address: Option<String>,
    /// GPU memory in GiB
    #[arg(long, value_name = "GIB")]
    vram: Option<f64>,
    /// Path of its health check
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// stateless, queue or poll
    #[arg(long, value_name = "MODE")]
    progress_mode: Option<String>,
    /// Path that is asked for progress in poll mode
    #[arg(long, value_name = "PATH")]
    progress_endpoint: Option<String>,
    /// For people
    #[arg(long)]
    description: Option<String>,
    /// Jobs that it does at once
    #[arg(long, value_name = "COUNT")]
    max_concurrency: Option<u32>,
    /// A name under which model requests at /v1 reach it, and start it; may be given again for aliases
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// What speaks there: vllm, ollama, llamacpp, tgi, sglang, localai, lmstudio or openai
    #[arg(long, value_name = "KIND")]
    backend_kind: Option<String>,
    /// The model's name there, if it differs
    #[arg(long, value_name = "NAME")]
    upstream_model: Option<String>,
    /// A JSON file with further fields, such as a `definition` to make the container from
    #[arg(short, long)]
    file: Option<PathBuf>,
}

/// Lists services.
pub(super) async fn list(list: &Services, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let kind = list.kind.clone().map(|kind| ("type", kind));
    let enabled = list.enabled.map(|enabled| ("enabled", enabled.to_string()));
    // A list that stays is read often, and health is told anyway.
    let probe = list.watching.watch.then(|| ("probe", "false".to_owned()));
    let listing = Listing {
        path: &["services"],
        query: kind.into_iter().chain(enabled).chain(probe).collect(),
        what: "cannot list the services",
        items: |answer| answer["services"].as_object().into_iter().flatten().map(|(_, item)| item.clone()).collect(),
        columns: |_| columns(),
        name: "name",
        none: "no service matches; register one with `gantry service register NAME CONTAINER PORT TYPE`",
    };
    listing.run(&client, list.watching, |_, _| (), session).await
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("SERVICE", "name"),
        Column::text("TYPE", "type"),
        Column::new("STATE", state),
        Column::new("HEALTHY", |item| text_of(&item["healthy"])),
        Column::new("VRAM", |item| format!("{} GB", text_of(&item["vram_gb"]))),
        Column::new("JOB", |item| text_of(&item["active_job_id"]).chars().take(8).collect()),
        Column::wide("CONTAINER", |item| text_of(&item["container"])),
        Column::wide("PORT", |item| text_of(&item["port"])),
        Column::wide("NODE", |item| text_of(&item["node"])),
        Column::wide("ERROR", |item| short(&text_of(&item["last_error"]), 60)),
    ]
}

fn state(item: &Value) -> String {
    let state = text_of(&item["state"]);
    if item["enabled"] == false { format!("{state} (disabled)") } else { state }
}

/// Carries out a command on a service.
pub(super) async fn run(command: ServiceCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        ServiceCommand::Show(name) => show(&name.name, session).await,
        ServiceCommand::Register(register) => add(*register, session).await,
        ServiceCommand::Unregister(name) => remove(&name.name, session).await,
        ServiceCommand::Enable(name) => switch(&name.name, "enable", session).await,
        ServiceCommand::Disable(name) => switch(&name.name, "disable", session).await,
        ServiceCommand::Start(name) => steer(&name.name, "start", true, session).await,
        ServiceCommand::Stop(stop) => steer(&stop.name, "stop", !stop.no_drain, session).await,
        ServiceCommand::Restart(stop) => steer(&stop.name, "restart", !stop.no_drain, session).await,
    }
}

async fn show(name: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let what = || format!("cannot show '{name}'");
    let status = client.get(&["services", name], &[]).await.map_err(|error| trouble(&error, what()))?;
    let record = client.get(&["services", name, "record"], &[]).await.map_err(|error| trouble(&error, what()))?;
    let mut lines = vec![format!("{name}: {} ({})", state(&status), text(&status, "type"))];
    for key in [
        "container",
        "url",
        "port",
        "health_endpoint",
        "vram_gb",
        "node",
        "reserved_mb",
        "learned_peak_mb",
        "active_job_id",
        "last_error",
    ] {
        let value = if status[key].is_null() { text(&record, key) } else { text(&status, key) };
        if !value.is_empty() {
            lines.push(format!("  {key}: {value}"));
        }
    }
    session.one(json!({"record": record, "status": status}), name, lines)?;
    Ok(Exit::Ok)
}

async fn add(register: Register, session: &mut Session) -> Result<Exit, Trouble> {
    session.screen.remark(&format!("Registering {}...", short(&register.name, 64)));
    let what = format!("cannot register '{}'", register.name);
    let mut body = match &register.file {
        None => json!({}),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Trouble::usage(&what, format!("{}: {error}", file.display())))?;
            let body: Value = serde_json::from_str(&text)
                .map_err(|error| Trouble::usage(&what, format!("{}: {error}", file.display())))?;
            if !body.is_object() {
                return Err(Trouble::usage(what, format!("{} holds no JSON object", file.display())));
            }
            body
        }
    };
    let given = [
        ("name", json!(register.name)),
        ("container", json!(register.container)),
        ("port", json!(register.port)),
        ("type", json!(register.kind.or(register.kind_word))),
        ("url", json!(register.address)),
        ("vram_gb", json!(register.vram)),
        ("health_endpoint", json!(register.health)),
        ("progress_mode", json!(register.progress_mode)),
        ("progress_endpoint", json!(register.progress_endpoint)),
        ("description", json!(register.description)),
        ("max_concurrency", json!(register.max_concurrency)),
        ("models", if register.models.is_empty() { Value::Null } else { json!(register.models) }),
        ("backend_kind", json!(register.backend_kind)),
        ("upstream_model", json!(register.upstream_model)),
    ];
    for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
        body[key] = value;
    }
    let answer = client(session)?.post(&["services", "register"], &body, &[]).await;
    let answer = answer.map_err(|error| trouble(&error, what))?;
    let line = format!("registered {} ({})", text(&answer, "name"), text(&answer, "type"));
    session.one(answer, &register.name, vec![line])?;
    Ok(Exit::Ok)
}

async fn remove(name: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let answer = client(session)?.delete(&["services", name], &[]).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot unregister '{name}'")))?;
    session.one(answer, name, vec![format!("unregistered {name}")])?;
    Ok(Exit::Ok)
}

async fn switch(name: &str, verb: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let answer = client(session)?.post(&["services", name, verb], &json!({}), &[]).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot {verb} '{name}'")))?;
    session.one(answer, name, vec![format!("{verb}d {name}")])?;
    Ok(Exit::Ok)
}

async fn steer(name: &str, verb: &str, drain: bool, session: &mut Session) -> Result<Exit, Trouble> {
    session.screen.remark(&match verb {
        "stop" => format!("Stopping {name}..."),
        "restart" => format!("Restarting {name}..."),
        _ => format!("Starting {name}..."),
    });
    let query = [("drain", drain.to_string())];
    let answer = client(session)?.patiently_post(&["services", name, verb], &query).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot {verb} '{name}'")).next("gantry services"))?;
    let mut line = format!("{name} {}", text(&answer, "status"));
    if answer["startup_time_s"].is_number() {
        line = format!("{line} in {} s", text(&answer, "startup_time_s"));
    }
    let warning = text(&answer, "warning");
    session.one(answer, name, vec![line])?;
    if !warning.is_empty() {
        session.screen.remark(&warning);
    }
    Ok(Exit::Ok)
}
