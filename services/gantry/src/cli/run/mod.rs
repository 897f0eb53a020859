//! `gantry run`: starting, watching and steering runs.

mod answer;
mod command;
mod find;
mod ledger;
mod lines;
mod list;
mod prompt;
mod show;
mod start;
mod wait;
mod watch;

use super::{Exit, Session, Trouble};
use clap::{Args, Subcommand};
use serde_json::Value;
use service::config::Setting;
use std::time::Duration;

/// Commands on runs.
#[derive(Clone, Debug, Subcommand)]
pub enum RunCommand {
    /// Start a flow of a bundle; prints the run's id
    Start(start::Start),
    /// List runs, the most recently changed first
    #[command(visible_alias = "ls")]
    List(list::ListRuns),
    /// Show a run: its state, what it waits for, its output
    Show(Run),
    /// Print a run's ledger
    Ledger(ledger::Ledger),
    /// Watch a run live until it ends
    Watch(watch::Watch),
    /// Wait until a run ends; prints its output
    Wait(wait::Wait),
    /// Answer the question that a run, or a run below it, asks
    Answer(answer::Answer),
    /// Let a paused run go on, or end a wait with --payload or --answer
    Resume(command::Resume),
    /// Hold a run and every run below it
    Pause(command::Steer),
    /// End a run and every run below it
    Cancel(command::Steer),
    /// Wake whoever waits for an event
    Emit(command::Emit),
}

/// Which run.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Its id, the beginning of it, or `last`
    pub run: String,
}

/// Carries out a command on runs.
pub(super) async fn run(command: RunCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        RunCommand::Start(start) => start::run(start, session).await,
        RunCommand::List(list) => list::run(list, session).await,
        RunCommand::Show(run) => show::run(&run.run, session).await,
        RunCommand::Ledger(ledger) => ledger::run(ledger, session).await,
        RunCommand::Watch(watch) => watch::run(watch, session).await,
        RunCommand::Wait(wait) => wait::run(wait, session).await,
        RunCommand::Answer(answer) => answer::run(answer, session).await,
        RunCommand::Resume(resume) => command::resume(resume, session).await,
        RunCommand::Pause(steer) => command::steer(domain::CommandKind::Pause, steer, session).await,
        RunCommand::Cancel(steer) => command::steer(domain::CommandKind::Cancel, steer, session).await,
        RunCommand::Emit(emit) => command::emit(emit, session).await,
    }
}

/// The beginning of a run's id, long enough to name it.
fn brief(run: &str) -> String {
    let is_uuid = run.len() == 36 && run.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_uuid { run[..8].to_owned() } else { super::short(run, 40) }
}

/// The exit code that a run's end stands for.
fn exit_of(status: &str) -> Exit {
    match domain::RunStatus::parse(status) {
        Some(domain::RunStatus::Completed | domain::RunStatus::Running | domain::RunStatus::Waiting) => Exit::Ok,
        Some(domain::RunStatus::Cancelled) => Exit::Cancelled,
        Some(domain::RunStatus::Failed) | None => Exit::Failed,
    }
}

/// A duration on the command line.
fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(<Duration as Setting>::accepted)
}

/// A JSON object on the command line.
fn object(text: &str) -> Result<domain::Object, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("expected a JSON object such as {\"response\": \"yes\"}".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}
