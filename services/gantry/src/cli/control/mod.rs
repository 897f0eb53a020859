//! The GPU control plane from the command line: GPUs, services, jobs and preemption.

mod events;
mod gpu;
mod job;
mod jobs;
mod preempt;
mod service;
mod submit;

use super::{Client, Exit, RequestError, Session, Trouble, plain};
use clap::Subcommand;
use serde_json::Value;

/// Commands of the GPU control plane.
#[derive(Clone, Debug, Subcommand)]
pub enum ControlCommand {
    /// Show the GPUs of all hosts
    Gpu,
    /// Show GPU memory: used, free, and who holds it
    Vram,
    /// List services and how they stand
    Services(service::Services),
    /// Register, inspect and steer a service
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Submit a job; prints its id
    Submit(submit::Submit),
    /// List jobs, newest first
    Jobs(jobs::Jobs),
    /// Inspect and steer a job
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Say why a job waits, with numbers
    Explain(job::Job),
    /// See whether a service is busy, make its job give way, put paused jobs back
    #[command(subcommand)]
    Preempt(preempt::PreemptCommand),
}

/// Carries out a command of the control plane.
pub(super) async fn run(command: ControlCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        ControlCommand::Gpu => gpu::gpu(session).await,
        ControlCommand::Vram => gpu::vram(session).await,
        ControlCommand::Services(list) => service::list(&list, session).await,
        ControlCommand::Service(command) => service::run(command, session).await,
        ControlCommand::Submit(submit) => submit::run(submit, session).await,
        ControlCommand::Jobs(list) => jobs::run(&list, session).await,
        ControlCommand::Job(command) => job::run(command, session).await,
        ControlCommand::Explain(job) => job::explain(&job.job, session).await,
        ControlCommand::Preempt(command) => preempt::run(command, session).await,
    }
}

/// A client of the routes at the gateway's root.
fn client(session: &Session) -> Result<Client, Trouble> {
    Ok(session.client()?.at_root())
}

/// What a refusal of the control plane means to a person, and the next command.
fn trouble(error: &RequestError, what: impl Into<String>) -> Trouble {
    let trouble = error.trouble(what);
    match error {
        RequestError::Refused { status: 404, detail } if detail.starts_with("Job not found") => {
            trouble.next("gantry jobs")
        }
        RequestError::Refused { status: 404, detail } if detail.starts_with("Unknown service") => {
            trouble.next("gantry services")
        }
        RequestError::Refused { status: 503, detail } if detail.contains("no scheduler") => {
            trouble.next("start a scheduler with `gantry up` or `gantry scheduler`")
        }
        RequestError::Refused { .. } | RequestError::Unreachable { .. } | RequestError::NotAGateway { .. } => trouble,
    }
}

/// The text of a key on one line; nothing for null.
fn text(value: &Value, key: &str) -> String {
    plain(&super::output::text_of(&value[key]))
}
