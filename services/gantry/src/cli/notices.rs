//! `gantry notices`: pushes, webhooks and callbacks that could not be delivered, and channels that were switched off.

use super::output::{Column, List, pretty, text_of};
use super::{Client, Exit, RequestError, Session, Trouble, short, when};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Letters of one page.
const PAGE: usize = 500;
/// Letters that one command sends again or throws away.
const MOST: usize = 100_000;

/// Commands on notices.
#[derive(Clone, Debug, Subcommand)]
pub enum NoticesCommand {
    /// List what could not be delivered, oldest first
    List(Filter),
    /// Show one of them with all that it carries
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Send again, from the first attempt
    Replay(Which),
    /// Throw away
    #[command(visible_alias = "rm")]
    Discard(Which),
    /// List channels whose target said that it wants nothing more
    Targets,
    /// Send through a channel again
    Enable {
        /// Its name, as `gantry notices targets` shows it
        channel: String,
    },
    /// Tell every channel something, to see whether it arrives
    Test {
        /// What is told
        text: Option<String>,
    },
}

/// What is listed.
#[derive(Clone, Debug, Args)]
pub struct Filter {
    /// Only of this channel: ntfy, callback, or a webhook's name
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
}

/// Which letters.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// Their ids, or the beginnings of them
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// With --all: only those of this channel
    #[arg(long, value_name = "CHANNEL", requires = "all")]
    channel: Option<String>,
}

/// Carries out a command on notices.
pub(super) async fn run(command: NoticesCommand, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    match command {
        NoticesCommand::List(filter) => list(&client, filter.channel.as_deref(), session).await?,
        NoticesCommand::Show { id } => show(&client, &id, session).await?,
        NoticesCommand::Replay(which) => each(&client, &which, true, session).await?,
        NoticesCommand::Discard(which) => each(&client, &which, false, session).await?,
        NoticesCommand::Targets => targets(&client, session).await?,
        NoticesCommand::Enable { channel } => enable(&client, &channel, session).await?,
        NoticesCommand::Test { text } => {
            let answer = client.post(&["notices", "test"], &json!({"text": text}), &[]).await;
            let answer = answer.map_err(|error| trouble(&error, "cannot publish a test"))?;
            let id = text_of(&answer["id"]);
            session.one(
                answer,
                &id,
                vec!["published; what does not arrive appears in `gantry notices list`".into()],
            )?;
        }
    }
    Ok(Exit::Ok)
}

async fn list(client: &Client, channel: Option<&str>, session: &mut Session) -> Result<(), Trouble> {
    let items = all(client, channel).await?;
    let is_empty = items.is_empty();
    let columns = [
        Column::new("LETTER", |item| brief(&text_of(&item["id"]))),
        Column::text("CHANNEL", "channel"),
        Column::text("KIND", "kind"),
        Column::new("AGE", |item| when::age(&item["at"])),
        Column::new("TITLE", |item| short(&text_of(&item["title"]), 40)),
        Column::new("ERROR", |item| short(&text_of(&item["error"]), 60)),
        Column::wide("JOB", |item| text_of(&item["job_id"])),
        Column::wide("URL", |item| text_of(&item["url"])),
        Column::wide("REPLAYS", |item| text_of(&item["replays"])),
    ];
    session.list(&List { items, columns: &columns, name: "id" })?;
    if is_empty {
        session.screen.remark("everything was delivered, or is still tried");
    } else {
        session.screen.remark("`gantry notices replay ID` sends one again");
    }
    Ok(())
}

async fn show(client: &Client, meant: &str, session: &mut Session) -> Result<(), Trouble> {
    let id = find(client, meant).await?;
    let letter = client.get(&["notices", "dead-letters", &id], &[]).await;
    let letter = letter.map_err(|error| trouble(&error, format!("cannot show letter {}", brief(&id))))?;
    let mut lines = vec![format!("{id}: {} through {}", text_of(&letter["title"]), text_of(&letter["channel"]))];
    for key in ["at", "kind", "job_id", "url", "error", "attempts", "replays"] {
        let value = short(&text_of(&letter[key]), 400);
        if !value.is_empty() {
            lines.push(format!("  {key}: {value}"));
        }
    }
    lines.extend(pretty(&letter["carried"]).lines().map(super::plain));
    session.one(letter, &id, lines)
}

/// Sends letters again, or throws them away.
async fn each(client: &Client, which: &Which, again: bool, session: &mut Session) -> Result<(), Trouble> {
    let mut ids = Vec::new();
    if which.all {
        ids.extend(all(client, which.channel.as_deref()).await?.iter().map(|item| text_of(&item["id"])));
    }
    for meant in &which.ids {
        ids.push(find(client, meant).await?);
    }
    let mut done = Vec::new();
    for id in &ids {
        let letter = ["notices", "dead-letters", id];
        let answer = if again {
            client.post(&[&letter[..], &["replay"]].concat(), &json!({}), &[]).await
        } else {
            client.delete(&letter, &[]).await
        };
        let verb = if again { "replay" } else { "discard" };
        done.push(answer.map_err(|error| trouble(&error, format!("cannot {verb} letter {}", brief(id))))?);
    }
    let (count, word) = (done.len(), if again { "sent again" } else { "thrown away" });
    let columns = [Column::text("LETTER", "id")];
    session.list(&List { items: done, columns: &columns, name: "id" })?;
    session.screen.remark(&format!("{count} {word}"));
    Ok(())
}

async fn targets(client: &Client, session: &mut Session) -> Result<(), Trouble> {
    let answer = client.get(&["notices", "disabled"], &[]).await;
    let mut answer = answer.map_err(|error| trouble(&error, "cannot list the disabled channels"))?;
    let items = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let is_empty = items.is_empty();
    let columns = [
        Column::text("CHANNEL", "channel"),
        Column::text("TARGET", "target"),
        Column::new("SINCE", |item| when::age(&item["at"])),
        Column::new("BECAUSE", |item| short(&text_of(&item["because"]), 60)),
    ];
    session.list(&List { items, columns: &columns, name: "channel" })?;
    let next = if is_empty { "no channel is disabled" } else { "`gantry notices enable CHANNEL` sends to it again" };
    session.screen.remark(next);
    Ok(())
}

async fn enable(client: &Client, channel: &str, session: &mut Session) -> Result<(), Trouble> {
    let answer = client.post(&["notices", "disabled", channel, "enable"], &json!({}), &[]).await;
    let answer = answer.map_err(|error| trouble(&error, format!("cannot enable '{}'", short(channel, 60))))?;
    session.one(answer, channel, vec![format!("{} is sent to again", short(channel, 60))])?;
    session.screen.remark(&format!("what was given up meanwhile: gantry notices replay --all --channel {channel}"));
    Ok(())
}

async fn all(client: &Client, channel: Option<&str>) -> Result<Vec<Value>, Trouble> {
    let (mut items, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
    while items.len() < MOST {
        let channel = channel.map(|channel| ("channel", channel.to_owned()));
        let cursor_now = cursor.take().map(|cursor| ("cursor", cursor));
        let query: Vec<_> = [("limit", PAGE.to_string())].into_iter().chain(channel).chain(cursor_now).collect();
        let answer = client.get(&["notices", "dead-letters"], &query).await;
        let mut answer = answer.map_err(|error| trouble(&error, "cannot list what was not delivered"))?;
        items.extend(answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(items)
}

async fn find(client: &Client, meant: &str) -> Result<String, Trouble> {
    if meant.len() >= 36 {
        return Ok(meant.to_owned());
    }
    let what = format!("cannot find letter '{}'", short(meant, 40));
    let ids = all(client, None).await?.into_iter().map(|item| text_of(&item["id"]));
    let mut ids: Vec<String> = ids.filter(|id| id.starts_with(meant)).collect();
    match ids.len() {
        1 => Ok(ids.swap_remove(0)),
        0 => Err(Trouble::new(what, "no letter's id begins with it").next("gantry notices list")),
        count => Err(Trouble::usage(what, format!("{count} begin with it")).next("type more of the id")),
    }
}

fn brief(id: &str) -> String {
    id.chars().take(8).collect()
}

fn trouble(error: &RequestError, what: impl Into<String>) -> Trouble {
    let trouble = error.trouble(what);
    match error {
        RequestError::Refused { status: 404, detail } if detail.starts_with("Channel") => {
            trouble.next("gantry notices targets")
        }
        RequestError::Refused { status: 404, .. } => trouble.next("gantry notices list"),
        RequestError::Refused { .. } | RequestError::Unreachable { .. } | RequestError::NotAGateway { .. } => trouble,
    }
}
