//! `gantry doctor`: one line per part, and how to repair what is broken.

mod models;

use super::output::{Column, List, text_of};
use super::{Client, Connection, Exit, RequestError, Session, Tone, Trouble, config, connection, when};
use nats_process::{Binary, Search};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Clocks may differ by this much before times in ledgers and timers surprise people.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// The installation works, though not all of it.
    Warning,
    Failure,
}

/// What was found out about one part.
struct Finding {
    part: &'static str,
    level: Level,
    /// What was found, or what is wrong.
    found: String,
    /// How to repair it.
    fix: String,
}

impl Finding {
    fn new(part: &'static str, found: Result<String, String>, fix: impl Into<String>) -> Self {
        let (level, found) = match found {
            Ok(found) => (Level::Ok, found),
            Err(found) => (Level::Failure, found),
        };
        Self { part, level, found, fix: fix.into() }
    }

    fn warning(part: &'static str, found: String, fix: impl Into<String>) -> Self {
        Self { part, level: Level::Warning, found, fix: fix.into() }
    }

    fn shown(&self) -> Value {
        let fix = if self.level == Level::Ok { Value::Null } else { json!(self.fix) };
        let is_ok = self.level != Level::Failure;
        json!({"ok": is_ok, "level": self.level.word(), "part": self.part, "found": self.found, "fix": fix})
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warn",
            Self::Failure => "fail",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warning => Tone::Waiting,
            Self::Failure => Tone::Bad,
        }
    }
}

/// Checks every part and fails if one is broken; a warning is no failure.
pub(super) async fn run(session: &mut Session) -> Result<Exit, Trouble> {
    let mut findings = vec![settings(session), broker(session).await, data_dir(session)];
    findings.extend(models::file(session));
    findings.extend(gateway(session).await);
    let is_well = findings.iter().all(|finding| finding.level != Level::Failure);
    let style = session.screen.style;
    if matches!(session.global.output, super::Format::Table | super::Format::Wide) {
        for Finding { part, level, found, fix } in &findings {
            let word = style.paint(level.tone(), &format!("{:<4}", level.word()));
            session.screen.data(&format!("{word}  {part:<11} {found}"))?;
            if *level != Level::Ok {
                session.screen.data(&format!("      {:<11} {fix}", "fix:"))?;
            }
        }
    } else {
        let columns = [Column::text("PART", "part")];
        let items = findings.iter().map(Finding::shown).collect();
        session.list(&List { items, columns: &columns, name: "part" })?;
    }
    Ok(if is_well { Exit::Ok } else { Exit::Failed })
}

fn settings(session: &Session) -> Finding {
    let found = config::read(session).map(|settings| format!("{} settings are usable", settings.entries.len()));
    Finding::new("settings", found.map_err(|error| error.to_string()), "correct or unset it; `gantry config show`")
}

async fn broker(session: &Session) -> Finding {
    let fix = "run `nats/get-nats-server.sh`, or set GANTRY_NATS_URL to a server of 2.14 or newer";
    if session.environment.get("GANTRY_NATS_URL").is_some() {
        return Finding::new("nats-server", Ok("not needed: GANTRY_NATS_URL names a broker".to_owned()), fix);
    }
    let explicit = session.environment.get("GANTRY_NATS_SERVER").map(Into::into);
    let found = Binary::find(&Search { explicit, ..Search::default() }).await;
    let found = found.map(|binary| format!("{} at {}", binary.version(), binary.program().display()));
    Finding::new("nats-server", found.map_err(|error| error.to_string()), fix)
}

fn data_dir(session: &Session) -> Finding {
    let dir = connection::data_dir(&session.global, &session.environment);
    let fix = format!("make {} writable, or name another with --data-dir or GANTRY_DATA_DIR", dir.display());
    Finding::new("data dir", writable(&dir), fix)
}

/// Whether a file can be made there, or the directory itself where it does not exist yet. Leaves nothing behind.
fn writable(dir: &Path) -> Result<String, String> {
    let shown = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let place = shown.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    let probe = place.join(format!(".gantry-doctor-{}", std::process::id()));
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", shown.display());
    if !place.is_dir() {
        return Err(format!("{} is not a directory", place.display()));
    }
    std::fs::write(&probe, b"").map_err(failed)?;
    std::fs::remove_file(&probe).map_err(failed)?;
    let state = if place == shown { "is writable" } else { "does not exist yet and can be made" };
    Ok(format!("{} {state}", shown.display()))
}

/// The gateway, the token, the clock and the models. What cannot be asked because nobody answers is not reported twice.
async fn gateway(session: &Session) -> Vec<Finding> {
    let start = "start one with `gantry up`, or name another with --url or `gantry context use`";
    let connection = match Connection::discover(&session.global, &session.environment) {
        Ok(connection) => connection,
        Err(trouble) => return vec![Finding::new("gateway", Err(trouble.to_string()), "gantry context ls")],
    };
    let client = match Client::new(&connection) {
        Ok(client) => client,
        Err(trouble) => return vec![Finding::new("gateway", Err(trouble.to_string()), "correct --url")],
    };
    let (health, date) = match client.probe("/api/health").await {
        Ok(answer) => answer,
        Err(error) => return vec![Finding::new("gateway", Err(error.to_string()), start)],
    };
    let shown = format!("{} answers: {} (from {})", connection.url, text_of(&health["status"]), connection.url_source);
    let mut findings = vec![Finding::new("gateway", Ok(shown), start), token(&client, &connection).await];
    let is_let_in = findings.iter().all(|finding| finding.level == Level::Ok);
    findings.extend(date.and_then(|date| clock(&date)));
    if is_let_in {
        findings.push(models::backends(&client).await);
    }
    findings
}

async fn token(client: &Client, connection: &Connection) -> Finding {
    let fix = "pass --token, set GANTRY_TOKEN, or `gantry context add NAME --url URL --token TOKEN --use`";
    let found = match client.get(&["me"], &[]).await {
        Ok(me) => {
            let user = super::plain(&text_of(&me["principal"]["user_id"]));
            Ok(format!("accepted as {user} (from {})", connection.token_source))
        }
        Err(RequestError::Refused { status: 401, .. }) if connection.token.is_none() => {
            Err(format!("none found: {}", connection.token_source))
        }
        Err(error) => Err(format!("{error} (from {})", connection.token_source)),
    };
    Finding::new("token", found, fix)
}

/// Compares with the `Date` of an answer, which has whole seconds.
fn clock(date: &str) -> Option<Finding> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let skew = when::now().timestamp().as_second().abs_diff(theirs.as_second());
    let text = format!("differs from the gateway's by {skew} s");
    let found = if skew <= CLOCK_SKEW.as_secs() { Ok(text) } else { Err(text) };
    Some(Finding::new("clock", found, "synchronise both clocks (systemd-timesyncd, chrony)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_does_not_exist_yet_is_checked_where_it_would_be_made() {
        let home = tempfile::tempdir().unwrap();
        assert!(writable(&home.path().join("a/b")).unwrap().ends_with("can be made"));
        assert!(writable(home.path()).unwrap().ends_with("is writable"));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(writable(&file.join("below")).is_err());
    }

    #[test]
    fn a_clock_that_is_off_is_a_finding() {
        let now = when::now().timestamp();
        let date = |seconds: i64| {
            let moment = jiff::Timestamp::from_second(now.as_second() + seconds).unwrap();
            moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
        };
        assert!(clock(&date(0)).unwrap().level == Level::Ok);
        assert!(clock(&date(-60)).unwrap().level == Level::Failure);
        assert!(clock("yesterday").is_none());
    }
}
