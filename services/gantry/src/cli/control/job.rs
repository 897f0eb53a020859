//! `gantry job` and `gantry explain`.

use super::super::output::pretty;
use super::super::{Client, Exit, Session, Trouble, short};
use super::{client, deferred, events, text, trouble};
use clap::{Args, Subcommand};
use domain::control::JobState;
use serde_json::{Value, json};
use service::config::Setting;
use std::time::{Duration, Instant};

/// How long the gateway holds one question for a job's end.
const HOLD: Duration = Duration::from_secs(20);

/// Which job.
#[derive(Clone, Debug, Args)]
pub struct Job {
    /// Its id, or the beginning of a recent one's
    pub job: String,
}

/// A command on a job, or the job itself.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct JobOr {
    /// A job to show
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[command(subcommand)]
    command: Option<JobCommand>,
}

/// Shows a job, or carries out a command on it.
pub(super) async fn show_or_run(given: JobOr, session: &mut Session) -> Result<Exit, Trouble> {
    match (given.command, given.id) {
        (Some(command), _) => run(command, session).await,
        (None, Some(job)) => run(JobCommand::Show(Job { job }), session).await,
        (None, None) => Err(Trouble::usage("nothing to do", "neither a job nor a command").next("gantry job --help")),
    }
}

/// Commands on a job.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum JobCommand {
    /// Show a job
    Show(Job),
    /// Wait until a job ends; prints its result
    Wait {
        #[command(flatten)]
        job: Job,
        /// Wait at most so long, then exit with 124
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        timeout: Option<Duration>,
    },
    /// Print what happens to a job until it has ended
    Watch(Job),
    /// Say why a job waits, with numbers
    Explain(Job),
    /// Print a job's result as it is: JSON of a service, or a model's answer, sound and pictures too
    Result(Job),
    /// Print how far a job is
    Progress(Job),
    /// Cancel a job
    Cancel(Cancel),
    /// Change a queued job's priority
    Priority {
        #[command(flatten)]
        job: Job,
        /// Lower is more urgent
        #[arg(allow_negative_numbers = true)]
        priority: i32,
    },
    /// Put a paused job back in the queue
    Resume(Job),
}

/// Which job is cancelled.
#[derive(Clone, Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    job: Job,
    /// Also if it runs
    #[arg(long)]
    running: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(<Duration as Setting>::accepted)
}

impl JobCommand {
    /// The job that is meant.
    pub(super) fn job(&self) -> &str {
        let (Self::Show(job)
        | Self::Watch(job)
        | Self::Explain(job)
        | Self::Result(job)
        | Self::Progress(job)
        | Self::Resume(job)
        | Self::Wait { job, .. }
        | Self::Priority { job, .. }
        | Self::Cancel(Cancel { job, .. })) = self;
        &job.job
    }
}

/// Carries out a command on a job.
pub(super) async fn run(command: JobCommand, session: &mut Session) -> Result<Exit, Trouble> {
    if deferred::is_meant(command.job()) {
        return deferred::run(&command, session).await;
    }
    match command {
        JobCommand::Show(job) => show(&job.job, session).await,
        JobCommand::Wait { job, timeout } => {
            let client = client(session)?;
            let id = find(&client, &job.job).await?;
            until_end(&client, &id, timeout, session).await
        }
        JobCommand::Watch(job) => {
            let client = client(session)?;
            let id = find(&client, &job.job).await?;
            events::watch(&client, &id, session).await
        }
        JobCommand::Explain(job) => explain(&job.job, session).await,
        JobCommand::Result(job) => {
            let client = client(session)?;
            let id = find(&client, &job.job).await?;
            deferred::result(&client, &["queue", &id, "result"], brief(&id), session).await
        }
        JobCommand::Progress(job) => progress(&job.job, session).await,
        JobCommand::Cancel(wanted) => cancel(&wanted.job.job, wanted.running, session).await,
        JobCommand::Priority { job, priority } => prioritise(&job.job, priority, session).await,
        JobCommand::Resume(job) => resume(&job.job, session).await,
    }
}

/// The beginning of a job's id.
pub(super) fn brief(id: &str) -> &str {
    id.get(..8).filter(|_| id.len() == 36).unwrap_or(id)
}

async fn find(client: &Client, meant: &str) -> Result<String, Trouble> {
    if meant.len() >= 36 {
        return Ok(meant.to_owned());
    }
    let what = format!("cannot find job '{}'", short(meant, 40));
    let found = client.get(&["queue"], &[("limit", "1000".to_owned())]).await;
    let found = found.map_err(|error| trouble(&error, &what))?;
    let ids = found["jobs"].as_array().into_iter().flatten().map(|job| text(job, "id"));
    let mut ids: Vec<String> = ids.filter(|id| id.starts_with(meant)).collect();
    match ids.len() {
        1 => Ok(ids.swap_remove(0)),
        0 => Err(Trouble::new(what, "no id of the 1000 most recent jobs begins with it").next("gantry jobs")),
        count => Err(Trouble::usage(what, format!("{count} begin with it")).next("type more of the id")),
    }
}

async fn show(meant: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let id = find(&client, meant).await?;
    let job = client.get(&["queue", &id], &[]).await;
    let job = job.map_err(|error| trouble(&error, format!("cannot show job {}", brief(&id))))?;
    let mut lines = vec![format!("{id}: {}", text(&job, "status"))];
    for key in [
        "service_type",
        "service_name",
        "priority",
        "attempts",
        "position",
        "created_at",
        "started_at",
        "completed_at",
        "error",
        "payload",
        "result",
    ] {
        let value = short(&text(&job, key), 400);
        if !value.is_empty() {
            lines.push(format!("  {key}: {value}"));
        }
    }
    let why = text(&job["waiting"], "text");
    if !why.is_empty() {
        lines.push(format!("  waits: {why}"));
    }
    session.one(job, &id, lines)?;
    Ok(Exit::Ok)
}

/// Waits for a job's end and prints its result; the exit code is the job's.
pub(super) async fn until_end(
    client: &Client,
    id: &str,
    limit: Option<Duration>,
    session: &mut Session,
) -> Result<Exit, Trouble> {
    let began = Instant::now();
    loop {
        let left = limit.map_or(HOLD, |limit| limit.saturating_sub(began.elapsed()).min(HOLD));
        let query = [("wait_s", left.as_secs_f64().ceil().to_string())];
        let job = client.get(&["queue", id], &query).await;
        let job = job.map_err(|error| trouble(&error, format!("cannot wait for job {}", brief(id))))?;
        let status = text(&job, "status");
        if let Some(state) = JobState::parse(&status).filter(|state| state.is_terminal()) {
            return ended(id, state, job, session);
        }
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            let trouble = Trouble::new(format!("gave up waiting for job {}", brief(id)), format!("it is {status}"));
            return Err(Trouble { exit: Exit::TimedOut, ..trouble }.next(format!("gantry explain {}", brief(id))));
        }
    }
}

fn ended(id: &str, state: JobState, job: Value, session: &mut Session) -> Result<Exit, Trouble> {
    let result: Option<Value> = job["result"].as_str().and_then(|text| serde_json::from_str(text).ok());
    let error = text(&job, "error");
    let lines = result.iter().map(pretty).collect();
    session.one(json!({"job_id": id, "status": state, "result": result, "error": job["error"]}), id, lines)?;
    let exit = match state {
        JobState::Cancelled => Exit::Cancelled,
        JobState::Failed | JobState::Expired => Exit::Failed,
        JobState::Completed | JobState::Queued | JobState::Running | JobState::Paused => Exit::Ok,
    };
    if exit != Exit::Ok {
        session.screen.remark(&format!("job {} {}: {error}", brief(id), state.as_str()));
    }
    Ok(exit)
}

/// Says why a job waits.
pub(super) async fn explain(meant: &str, session: &mut Session) -> Result<Exit, Trouble> {
    if deferred::is_meant(meant) {
        return deferred::run(&JobCommand::Explain(Job { job: meant.to_owned() }), session).await;
    }
    let client = client(session)?;
    let id = find(&client, meant).await?;
    let answer = client.get(&["queue", &id, "explain"], &[]).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot explain job {}", brief(&id))))?;
    let waiting = &answer["waiting"];
    let mut lines = vec![format!("{}: {}", brief(&id), text(&answer, "text"))];
    for (word, key) in [("position among those that compete", "position"), ("position of all", "position_overall")] {
        if waiting[key].is_number() {
            lines.push(format!("  {word}: {}", text(waiting, key)));
        }
    }
    lines.extend(super::reason::lines(&waiting["reason"]).into_iter().map(|line| format!("  {line}")));
    if let (Some(low), Some(high)) = (waiting["low_ms"].as_u64(), waiting["high_ms"].as_u64()) {
        lines.push(format!("  expected wait: {} to {} s", low.div_ceil(1_000), high.div_ceil(1_000)));
    }
    session.one(answer, &id, lines)?;
    Ok(Exit::Ok)
}

async fn progress(meant: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let id = find(&client, meant).await?;
    let answer = client.get(&["queue", &id, "progress"], &[]).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot read the progress of job {}", brief(&id))))?;
    let lines = vec![format!("{}: {}", text(&answer, "status"), super::plain(&answer["progress"].to_string()))];
    session.one(answer, &id, lines)?;
    Ok(Exit::Ok)
}

async fn cancel(meant: &str, running: bool, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let id = find(&client, meant).await?;
    let answer = client.delete(&["queue", &id], &[("running", running.to_string())]).await;
    let answer = answer.map_err(|error| {
        let trouble = trouble(&error, format!("cannot cancel job {}", brief(&id)));
        if error.status() == Some(409) && !running {
            trouble.next(format!("gantry job cancel {} --running", brief(&id)))
        } else {
            trouble
        }
    })?;
    let word = if answer["cancelling"] == true { "is being stopped" } else { "is cancelled" };
    session.one(answer, &id, vec![format!("job {} {word}", brief(&id))])?;
    Ok(Exit::Ok)
}

async fn prioritise(meant: &str, priority: i32, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let id = find(&client, meant).await?;
    let answer = client.put(&["queue", &id, "priority"], &json!({"priority": priority})).await;
    let answer =
        answer.map_err(|error| trouble(&error, format!("cannot change the priority of job {}", brief(&id))))?;
    session.one(answer, &id, vec![format!("job {} has priority {priority}", brief(&id))])?;
    Ok(Exit::Ok)
}

async fn resume(meant: &str, session: &mut Session) -> Result<Exit, Trouble> {
    let client = client(session)?;
    let id = find(&client, meant).await?;
    let answer = client.post(&["queue", &id, "resume"], &json!({}), &[]).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot resume job {}", brief(&id))))?;
    session.one(answer, &id, vec![format!("job {} is queued again", brief(&id))])?;
    Ok(Exit::Ok)
}
