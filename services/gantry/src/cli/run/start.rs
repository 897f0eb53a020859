//! `gantry run start`.

use super::super::output::text_of;
use super::super::{Exit, Format, Session, Trouble};
use super::{brief, duration, wait, watch};
use clap::Args;
use serde_json::{Value, json};
use std::io::Read;
use std::time::Duration;

/// Inputs larger than this are no inputs of a run; files go into artifacts.
const LARGEST_INPUT: u64 = 16 * 1024 * 1024;

/// Start a flow of a bundle.
#[derive(Clone, Debug, Args)]
pub struct Start {
    /// Which flow: BUNDLE, BUNDLE:FLOW or BUNDLE@VERSION:FLOW
    #[arg(value_name = "BUNDLE[:FLOW]")]
    target: String,
    /// An input: KEY=TEXT, or KEY:=JSON for numbers, lists and objects
    #[arg(short, long = "input", value_name = "KEY=TEXT", value_parser = input)]
    input: Vec<(String, Value)>,
    /// All inputs as a JSON object in a file, or on standard input with `-`
    #[arg(long, value_name = "FILE")]
    input_json: Option<String>,
    /// The session to which the run belongs
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// The same key starts the same run only once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Watch it until it ends
    #[arg(long, conflicts_with = "wait")]
    watch: bool,
    /// Wait until it ends and print its output
    #[arg(long)]
    wait: bool,
    /// Wait at most so long
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "wait")]
    timeout: Option<Duration>,
}

/// Reads `key=text` or `key:=json`.
fn input(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=TEXT or KEY:=JSON")?;
    let (key, value) = match key.strip_suffix(':') {
        Some(key) => (key, serde_json::from_str(value).map_err(|error| format!("{key} is not JSON: {error}"))?),
        None => (key, Value::from(value)),
    };
    if key.is_empty() { Err("the key is missing".to_owned()) } else { Ok((key.to_owned(), value)) }
}

/// Starts it, and watches it or waits for it if asked to.
pub(super) async fn run(start: Start, session: &mut Session) -> Result<Exit, Trouble> {
    let mut inputs = match &start.input_json {
        Some(file) => read_inputs(file)?,
        None => domain::Object::new(),
    };
    inputs.extend(start.input);
    let (bundle, flow) = split(&start.target);
    let mut body = json!({"bundle_id": bundle, "input_data": inputs});
    for (key, value) in [("flow_id", flow), ("session_id", start.session.as_deref())] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    let client = session.client()?;
    let header: Option<(&'static str, &str)> = start.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
    let answer = client.post(&["runs", "start"], &body, header.as_slice()).await;
    let answer = answer.map_err(|error| error.trouble(format!("cannot start '{}'", start.target)))?;
    let run = text_of(&answer["run_id"]);
    if start.watch {
        return watch::until_end(client, &run, 0, session).await;
    }
    if start.wait {
        session.screen.remark(&format!("started run {run}"));
        return wait::until_end(client, &run, start.timeout, session).await;
    }
    session.one(answer, &run, vec![run.clone()])?;
    if matches!(session.global.output, Format::Table | Format::Wide) {
        session.screen.remark(&format!("started; `gantry run watch {}` shows its ledger", brief(&run)));
    }
    Ok(Exit::Ok)
}

/// The bundle and the flow. A version may contain anything but a colon.
fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once(':').map_or((target, None), |(bundle, flow)| (bundle, Some(flow)))
}

fn read_inputs(file: &str) -> Result<domain::Object, Trouble> {
    let shown = if file == "-" { "standard input" } else { file };
    let failed = |why: String| Trouble::usage(format!("cannot read the inputs from {shown}"), why);
    let source: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(std::fs::File::open(path).map_err(|error| failed(error.to_string()))?),
    };
    let mut text = String::new();
    source.take(LARGEST_INPUT + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST_INPUT {
        return Err(failed(format!("more than {LARGEST_INPUT} bytes")));
    }
    super::object(&text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_text_unless_it_says_json() {
        assert_eq!(input("zip=01234"), Ok(("zip".to_owned(), json!("01234"))));
        assert_eq!(input("n:=3"), Ok(("n".to_owned(), json!(3))));
        assert_eq!(input("q=a=b:=c"), Ok(("q".to_owned(), json!("a=b:=c"))));
        for wrong in ["plain", "=x", ":=1", "n:=x"] {
            assert!(input(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_names_a_bundle_and_maybe_a_flow() {
        assert_eq!(split("hello"), ("hello", None));
        assert_eq!(split("hello@1.0.0:greet"), ("hello@1.0.0", Some("greet")));
    }
}
