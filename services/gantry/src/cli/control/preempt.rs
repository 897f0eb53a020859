//! `gantry preempt`.

use super::super::{Exit, Session, Trouble};
use super::{client, text, trouble};
use clap::Subcommand;
use serde_json::json;

/// Commands on preemption.
#[derive(Clone, Debug, Subcommand)]
pub enum PreemptCommand {
    /// Say whether a service is busy, and with what
    Check {
        /// The service
        service: String,
    },
    /// Make the job that runs on a service give way to a queued one
    #[command(visible_alias = "exec")]
    Execute {
        /// The service
        service: String,
        /// The queued job's id
        job: String,
    },
    /// Put every paused job of a service's type back in the queue
    Release {
        /// The service
        service: String,
    },
}

/// Carries out a command on preemption.
pub(super) async fn run(command: PreemptCommand, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    match command {
        PreemptCommand::Check { service } => {
            let answer = client.get(&["preempt", "check", &service], &[]).await;
            let answer = answer.map_err(|error| trouble(&error, format!("cannot check '{service}'")))?;
            let line = if answer["preemptable"] == true {
                format!(
                    "{service} runs job {} of priority {}",
                    text(&answer, "active_job_id"),
                    text(&answer, "running_job_priority")
                )
            } else {
                format!("{service} is not busy")
            };
            session.one(answer, &service, vec![line])?;
        }
        PreemptCommand::Execute { service, job } => {
            let body = json!({"service_name": service, "preemptor_job_id": job});
            let answer = client.post(&["preempt", "execute"], &body, &[]).await;
            let answer = answer.map_err(|error| trouble(&error, format!("cannot preempt on '{service}'")))?;
            let line = format!("job {} makes way for job {job}", text(&answer, "preempted_job_id"));
            session.one(answer, &service, vec![line])?;
        }
        PreemptCommand::Release { service } => {
            let answer = client.post(&["preempt", "release", &service], &json!({}), &[]).await;
            let answer = answer.map_err(|error| trouble(&error, format!("cannot release '{service}'")))?;
            let line = format!("{} jobs are queued again", text(&answer, "count"));
            session.one(answer, &service, vec![line])?;
        }
    }
    Ok(Exit::Ok)
}
