//! The GPU control plane from the command line: GPUs, services, jobs and preemption.

mod deferred;
mod events;
mod gpu;
mod job;
mod jobs;
mod listing;
mod live;
mod preempt;
mod reason;
mod service;
mod short_names;
mod submit;
mod top;

use super::{Client, Exit, RequestError, Session, Trouble, plain};
use clap::Subcommand;
use serde_json::Value;

/// Commands of the GPU control plane.
#[derive(Clone, Debug, Subcommand)]
pub enum ControlCommand {
    /// Show GPUs, services and jobs on one screen, live
    Top,
    /// Show the GPUs of all hosts
    Gpu(listing::Watching),
    /// Show GPU memory: used, free, and who holds it
    Vram(listing::Watching),
    /// List services and how they stand
    Services(service::Services),
    /// Register, inspect and steer a service
    Service(service::ServiceOr),
    /// Submit a job; prints its id
    Submit(submit::Submit),
    /// List jobs, newest first; with --requests your model requests that became jobs
    Jobs(jobs::Jobs),
    /// Inspect and steer a job
    Job(job::JobOr),
    /// Say why a job waits, with numbers
    Explain(job::Job),
    /// See whether a service is busy, make its job give way, put paused jobs back
    #[command(subcommand)]
    Preempt(preempt::PreemptCommand),
    /// Short names of commands on services and jobs
    #[command(flatten)]
    Short(short_names::ShortCommand),
}

/// Carries out a command of the control plane.
pub(super) async fn run(command: ControlCommand, session: &mut Session) -> Result<Exit, Trouble> {
    match command {
        ControlCommand::Top => top::run(session).await,
        ControlCommand::Gpu(watching) => gpu::gpu(watching, session).await,
        ControlCommand::Vram(watching) => gpu::vram(watching, session).await,
        ControlCommand::Services(list) => service::list(&list, session).await,
        ControlCommand::Service(command) => service::show_or_run(command, session).await,
        ControlCommand::Submit(submit) => submit::run(submit, session).await,
        ControlCommand::Jobs(list) => jobs::run(&list, session).await,
        ControlCommand::Job(command) => job::show_or_run(command, session).await,
        ControlCommand::Explain(job) => job::explain(&job.job, session).await,
        ControlCommand::Preempt(command) => preempt::run(command, session).await,
        ControlCommand::Short(command) => short_names::run(command, session).await,
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

/// A text whose job ids are cut to their beginnings, which every command takes too.
fn brief_ids(text: &str) -> String {
    let is_id = |word: &str| {
        word.len() == 36
            && word.bytes().enumerate().all(|(place, byte)| match place {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    text.split(' ').map(|word| if is_id(word) { &word[..8] } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::brief_ids;

    #[test]
    fn ids_in_a_text_are_cut_and_nothing_else() {
        let text =
            "all 1 slots are taken; 83b05004-951f-4c70-9515-8b1544a7661d (P3) on a-service-of-thirty-six-letters-xxxx";
        let cut = "all 1 slots are taken; 83b05004 (P3) on a-service-of-thirty-six-letters-xxxx";
        assert_eq!(brief_ids(text), cut);
    }
}
