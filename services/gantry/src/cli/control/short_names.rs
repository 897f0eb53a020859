//! Short names of commands on services and jobs, as other gateways' command lines have them: `gantry start NAME` is
//! `gantry service start NAME`.

use super::super::output::{pretty, text_of};
use super::super::{Exit, Session, Trouble, plain};
use super::gpu::is_table;
use super::{client, job, jobs, preempt, service, trouble};
use clap::Subcommand;
use serde_json::{Value, json};

/// Commands by their short names.
#[derive(Clone, Debug, Subcommand)]
pub enum ShortCommand {
    /// Show the GPUs, and each service in a line
    Status,
    /// Count the jobs; `gantry jobs` lists them
    #[command(hide = true)]
    Queue {
        /// The same
        #[arg(value_parser = ["list"])]
        list: Option<String>,
    },
    /// Same as `service register`
    #[command(hide = true)]
    Register(Box<service::Register>),
    /// Same as `service unregister`
    #[command(hide = true)]
    Unregister(service::Name),
    /// Same as `service enable`
    #[command(hide = true)]
    Enable(service::Name),
    /// Same as `service disable`
    #[command(hide = true)]
    Disable(service::Name),
    /// Same as `service start`
    #[command(hide = true)]
    Start(service::Name),
    /// Same as `service stop`
    #[command(hide = true)]
    Stop(service::Stop),
    /// Same as `service restart`
    #[command(hide = true)]
    Restart(service::Stop),
    /// Same as `job cancel`
    #[command(hide = true)]
    Cancel(job::Cancel),
    /// Same as `job progress`
    #[command(hide = true)]
    Progress(job::Job),
    /// Same as `preempt release`
    #[command(hide = true)]
    Release {
        /// The service
        service: String,
    },
}

/// Carries out a command.
pub(super) async fn run(command: ShortCommand, session: &mut Session) -> Result<Exit, Trouble> {
    use job::JobCommand;
    use service::ServiceCommand;
    match command {
        ShortCommand::Status => status(session).await,
        ShortCommand::Queue { list: _ } => jobs::stats(session).await,
        ShortCommand::Register(register) => service::run(ServiceCommand::Register(register), session).await,
        ShortCommand::Unregister(name) => service::run(ServiceCommand::Unregister(name), session).await,
        ShortCommand::Enable(name) => service::run(ServiceCommand::Enable(name), session).await,
        ShortCommand::Disable(name) => service::run(ServiceCommand::Disable(name), session).await,
        ShortCommand::Start(name) => service::run(ServiceCommand::Start(name), session).await,
        ShortCommand::Stop(stop) => service::run(ServiceCommand::Stop(stop), session).await,
        ShortCommand::Restart(stop) => service::run(ServiceCommand::Restart(stop), session).await,
        ShortCommand::Cancel(cancel) => job::run(JobCommand::Cancel(cancel), session).await,
        ShortCommand::Progress(job) => job::run(JobCommand::Progress(job), session).await,
        ShortCommand::Release { service } => preempt::run(preempt::PreemptCommand::Release { service }, session).await,
    }
}

/// The GPUs as JSON and a line for each service.
async fn status(session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let (gpu, services) = tokio::try_join!(client.get(&["gpu"], &[]), client.get(&["services"], &[]))
        .map_err(|error| trouble(&error, "cannot show the status"))?;
    if !is_table(session) {
        session.one(json!({"gpu": gpu, "services": services["services"]}), "", Vec::new())?;
        return Ok(Exit::Ok);
    }
    let listed = services["services"].as_object().into_iter().flatten();
    let lines = ["=== GPU Status ===".to_owned(), pretty(&gpu), String::new(), "=== Services ===".to_owned()];
    let lines = lines.into_iter().chain(listed.map(|(name, service)| line(name, service)));
    session.one(Value::Null, "", lines.collect())?;
    Ok(Exit::Ok)
}

fn line(name: &str, service: &Value) -> String {
    let (dot, state) = match (service["enabled"] == false, service["container_running"] == true) {
        (true, _) => ("⚫", "disabled"),
        (false, true) => ("🟢", "running"),
        (false, false) => ("🔴", "stopped"),
    };
    let health = match (state, service["healthy"] == true) {
        ("running", true) => " (healthy)",
        ("running", false) => " (unhealthy)",
        _ => "",
    };
    plain(&format!(
        "{name}: {dot} {state}{health} [{}] {}GB VRAM",
        text_of(&service["type"]),
        text_of(&service["vram_gb"])
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_told_in_one_line() {
        let service = |enabled: bool, running: bool, healthy: bool| {
            line(
                "sd",
                &json!({"enabled": enabled, "container_running": running, "healthy": healthy, "type": "img", "vram_gb": 8.0}),
            )
        };
        assert_eq!(service(true, true, true), "sd: 🟢 running (healthy) [img] 8.0GB VRAM");
        assert_eq!(service(true, true, false), "sd: 🟢 running (unhealthy) [img] 8.0GB VRAM");
        assert_eq!(service(true, false, false), "sd: 🔴 stopped [img] 8.0GB VRAM");
        assert_eq!(service(false, true, true), "sd: ⚫ disabled [img] 8.0GB VRAM");
    }
}
