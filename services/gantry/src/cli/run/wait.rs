//! `gantry run wait`.

use super::super::follow::{Followed, follow};
use super::super::output::{pretty, text_of};
use super::super::{Client, Exit, Session, Style, Trouble, plain};
use super::{Run, brief, duration, exit_of, find, prompt, show};
use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// A question that stays open for so long is passed on.
const PATIENCE: Duration = Duration::from_millis(150);

/// Wait until a run ends.
#[derive(Clone, Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    run: Run,
    /// Wait at most so long, then exit with 124
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

/// Waits; the exit code is the run's.
pub(super) async fn run(wait: Wait, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let id = find::id(&client, &wait.run.run).await?;
    until_end(client, &id, wait.timeout, session).await
}

/// Waits for a run of which the whole id is known, and prints its output.
pub(super) async fn until_end(
    client: Client,
    id: &str,
    limit: Option<Duration>,
    session: &mut Session,
) -> Result<Exit, Trouble> {
    let output = match limit {
        None => end_of(client.clone(), id, session).await?,
        Some(limit) => match timeout(limit, end_of(client.clone(), id, session)).await {
            Ok(output) => output?,
            Err(_) => {
                let why = format!("it has not ended after {}", <Duration as service::config::Setting>::show(&limit));
                let trouble = Trouble::new(format!("gave up waiting for run {}", brief(id)), why);
                return Err(Trouble { exit: Exit::TimedOut, ..trouble }.next(format!("gantry run show {}", brief(id))));
            }
        },
    };
    let run = find::run(&client, id).await?;
    let status = text_of(&run["status"]);
    let exit = exit_of(&status);
    let lines = output.iter().map(pretty).collect();
    session.one(json!({"run_id": id, "status": status, "output": output, "error": run["error"]}), id, lines)?;
    if exit != Exit::Ok {
        let error = run["error"].as_str().map(|error| format!(": {}", plain(error))).unwrap_or_default();
        session.screen.remark(&format!("run {} {status}{error}", brief(id)));
    }
    Ok(exit)
}

/// Follows the ledger to its end and hands back the output. A question is passed on to whoever waits, unless the
/// ledger goes on at once: then it was answered long ago.
async fn end_of(client: Client, id: &str, session: &mut Session) -> Result<Option<Value>, Trouble> {
    let (mut output, mut question) = (None, None::<Value>);
    let mut records = pin!(follow(client, id.to_owned(), 0));
    loop {
        let next = match timeout(PATIENCE, records.next()).await {
            Ok(next) => next,
            Err(_) => {
                question.take().iter().for_each(|wait| ask(wait, id, session));
                records.next().await
            }
        };
        match next.transpose()? {
            Some(Followed::Record { record, .. }) => {
                output = show::output_of(&record).or(output);
                let wait = &record["result"]["wait"];
                question = (wait["reason"] == "user").then(|| wait.clone());
            }
            Some(Followed::Lost { why }) => {
                session.screen.remark(&format!("connection lost ({why}); trying again"));
            }
            Some(Followed::Done) | None => return Ok(output),
        }
    }
}

fn ask(wait: &Value, id: &str, session: &mut Session) {
    session.screen.remark(&format!("run {} waits:", brief(id)));
    for line in prompt::lines(wait, id, Style::default()) {
        session.screen.remark(&line);
    }
}
