//! The client: what it is asked to do, and who does it.

mod backend;
mod bundle;
mod client;
mod complete;
mod config;
pub(crate) mod connection;
mod context;
mod control;
mod doctor;
mod error;
mod follow;
mod gpu_monitor;
mod key;
mod model;
mod notices;
mod output;
mod run;
mod screen;
mod settled;
mod sim;
mod sse;
#[cfg(test)]
mod tests;
mod when;

pub use client::{Client, RequestError};
pub use connection::Connection;
pub use error::{Exit, Trouble};
pub use output::Format;
pub use screen::{Screen, Style, Tone, plain, short};

use crate::serve::{self, Listen, Mode};
use clap::{Args, Parser, Subcommand};
use output::{List, One};
use serde_json::Value;
use service::config::{Environment, Reader};
use std::path::PathBuf;
use std::process::ExitCode;

/// One gateway for self-hosted AI: durable runs of workflow bundles, and model traffic
#[derive(Clone, Debug, Parser)]
#[command(name = "gantry", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 cancelled, 124 timeout.")]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// The gateway [env: GANTRY_URL, GATEWAY_URL] [default: http://127.0.0.1:8080]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub url: Option<String>,
    /// The bearer token [env: GANTRY_TOKEN]; without one, the context's, then the one that `gantry up` made
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Global options", hide_default_value = true)]
    pub token: Option<String>,
    /// The context to use [env: GANTRY_CONTEXT]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub context: Option<String>,
    /// The form of the answer
    #[arg(short = 'o', long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub output: Format,
    /// The directory of everything durable [env: GANTRY_DATA_DIR] [default: .gantry]
    #[arg(long, global = true, value_name = "DIRECTORY", help_heading = "Global options")]
    pub data_dir: Option<PathBuf>,
    /// The configuration file [env: GANTRY_CONFIG] [default: gantry.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
}

/// What the program can be asked to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run everything in this process, with a broker of its own unless GANTRY_NATS_URL names one
    Up(Listen),
    /// Run only the HTTP interface
    Api(Listen),
    /// Run only the driver of runs
    Runner,
    /// Run only the model traffic
    Proxy(Listen),
    /// Run only the agent of a GPU host, or record what its GPUs show
    #[command(args_conflicts_with_subcommands = true)]
    GpuMonitor {
        /// Nothing runs the agent
        #[command(subcommand)]
        command: Option<gpu_monitor::RecordCommand>,
    },
    /// Run only the scheduler of jobs and services
    Scheduler,
    /// Run only the sender of pushes, webhooks and callbacks
    Notifier,
    /// Start, watch and steer runs
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Everything of GPUs, services and jobs
    #[command(flatten)]
    Control(control::ControlCommand),
    /// Install and inspect workflow bundles
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// Name gateways and choose one
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Show every setting and where its value came from
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check this installation and say how to repair it
    Doctor,
    /// Empty the list of runs and fill it again from the ledgers
    Rebuild,
    /// Print the broker's layout: every stream, bucket and consumer
    Topology,
    /// Make, limit and revoke API keys for model traffic
    #[command(subcommand, alias = "keys")]
    Key(key::KeyCommand),
    /// Add, change and remove model servers, at every proxy at once
    #[command(subcommand, alias = "backends")]
    Backend(backend::BackendCommand),
    /// Add, change and remove models with names, replicas, fallbacks and times of their own
    #[command(subcommand, alias = "models")]
    Model(model::ModelCommand),
    /// What could not be delivered, channels that were switched off, and a test of them all
    #[command(subcommand)]
    Notices(notices::NoticesCommand),
    /// Simulate the placement of GPU jobs under a generated load, beside plain first-in-first-out
    Sim(sim::Sim),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them into a directory
    Man {
        /// Where to write them
        #[arg(long, value_name = "DIRECTORY")]
        into: Option<PathBuf>,
    },
}

/// What a command works with.
pub(crate) struct Session {
    global: Global,
    environment: Environment,
    screen: Screen,
}

impl Session {
    fn client(&self) -> Result<Client, Trouble> {
        Client::new(&Connection::discover(&self.global, &self.environment)?)
    }

    fn list(&mut self, list: &List<'_>) -> Result<(), Trouble> {
        output::list(&mut self.screen, self.global.output, list)
    }

    fn one(&mut self, value: Value, name: &str, lines: Vec<String>) -> Result<(), Trouble> {
        output::one(&mut self.screen, self.global.output, &One { value, name: name.to_owned(), lines })
    }
}

/// Does what the command line asks for and says how it went.
pub fn run(cli: Cli, environment: Environment, screen: Screen) -> ExitCode {
    let mut session = Session { global: cli.global, environment, screen };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return session.screen.trouble(&Trouble::new("cannot start", error)).into(),
    };
    let exit = runtime.block_on(execute(cli.command, &mut session));
    // A blocking call that is stuck must not hold the process up once the answer is known.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    exit.into()
}

/// Does it in a runtime that is already there.
pub(crate) async fn execute(command: Command, session: &mut Session) -> Exit {
    match Box::pin(dispatch(command, session)).await {
        Ok(exit) => exit,
        Err(trouble) => session.screen.trouble(&trouble),
    }
}

async fn dispatch(command: Command, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        Command::Up(listen) => services(Mode::Up, &listen, session).await,
        Command::Api(listen) => services(Mode::Api, &listen, session).await,
        Command::Runner => services(Mode::Runner, &Listen::default(), session).await,
        Command::Proxy(listen) => services(Mode::Proxy, &listen, session).await,
        Command::Scheduler => services(Mode::Scheduler, &Listen::default(), session).await,
        Command::Notifier => services(Mode::Notifier, &Listen::default(), session).await,
        Command::GpuMonitor { command: None } => services(Mode::GpuMonitor, &Listen::default(), session).await,
        Command::GpuMonitor { command: Some(command) } => gpu_monitor::run(command, session).await,
        Command::Run(command) => run::run(command, session).await,
        Command::Control(command) => control::run(command, session).await,
        Command::Bundle(command) => bundle::run(command, session).await,
        Command::Context(command) => context::run(command, session),
        Command::Config(command) => config::run(command, session),
        Command::Doctor => doctor::run(session).await,
        Command::Rebuild => rebuild(session).await,
        Command::Topology => {
            session.screen.data(bus::topology::text().trim_end())?;
            Ok(Exit::Ok)
        }
        Command::Key(command) => key::run(command, session).await,
        Command::Backend(command) => backend::run(command, session).await,
        Command::Model(command) => model::run(command, session).await,
        Command::Notices(command) => notices::run(command, session).await,
        Command::Sim(knobs) => sim::run(&knobs, session),
        Command::Completions { shell } => complete::completions(shell, session),
        Command::Man { into } => complete::manual(into.as_deref(), session),
    }
}

async fn rebuild(session: &mut Session) -> Result<Exit, Trouble> {
    let flags = serve::flags(&session.global);
    let reader = Reader::open(flags, session.environment.clone())
        .map_err(|error| Trouble::usage("cannot rebuild", error).next("gantry config show"))?;
    let rebuilt = Box::pin(crate::process::rebuild(reader)).await;
    let runs = rebuilt.map_err(|error| Trouble::new("cannot rebuild", format!("{error:#}")).next("gantry doctor"))?;
    session.screen.remark(&format!("the list of runs holds {runs} again"));
    Ok(Exit::Ok)
}

async fn services(mode: Mode, listen: &Listen, session: &mut Session) -> Result<Exit, Trouble> {
    let flags = serve::service_flags(mode, &session.global, listen);
    let reader = Reader::open(flags, session.environment.clone())
        .map_err(|error| Trouble::usage("cannot start", error).next("gantry config show"))?;
    match serve::serve(mode, reader).await {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => Err(Trouble::new("cannot serve", format!("{error:#}")).next("gantry doctor")),
    }
}
