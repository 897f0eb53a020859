//! `gantry run answer`: the answer goes to the run that asks, which may lie below the one that is named.

use super::super::output::text_of;
use super::super::{Client, Exit, Session, Trouble, plain};
use super::{Run, brief, command, find, prompt};
use clap::Args;
use domain::CommandKind;
use serde_json::{Value, json};

/// Runs below one another among which the asking one is looked for.
const DEPTH: u32 = domain::limits::RUN_DEPTH;

/// Answer a run's question.
#[derive(Clone, Debug, Args)]
pub struct Answer {
    #[command(flatten)]
    run: Run,
    /// The answer; `yes` or `no` where a tool needs permission
    text: Vec<String>,
}

/// Finds who asks and answers.
pub(super) async fn run(answer: Answer, session: &mut Session) -> Result<Exit, Trouble> {
    let client = session.client()?;
    let named = find::id(&client, &answer.run.run).await?;
    let (id, wait) = asking(&client, named).await?;
    let payload = reply(&wait, &answer.text.join(" ")).map_err(|why| {
        Trouble::usage(format!("cannot answer run {}", brief(&id)), why).next(format!("gantry run show {}", brief(&id)))
    })?;
    let mut body = json!({"payload": payload});
    if wait["wait_key"].is_string() {
        body["wait_key"] = wait["wait_key"].clone();
    }
    command::send(&client, CommandKind::Resume, &id, body, session).await
}

/// The run that waits for a person, from the named one downwards.
async fn asking(client: &Client, mut id: String) -> Result<(String, Value), Trouble> {
    for _ in 0..=DEPTH {
        let run = find::run(client, &id).await?;
        let wait = &run["waiting"];
        if let Some(child) = prompt::child(wait) {
            id = child.to_owned();
            continue;
        }
        if wait["reason"] == "user" && wait["details"]["kind"] != "pause" {
            return Ok((id, wait.clone()));
        }
        let why = match wait["reason"].as_str() {
            Some(reason) => format!("it waits for {reason}, not for an answer"),
            None => format!("it is {} and asks nothing", plain(&text_of(&run["status"]))),
        };
        return Err(Trouble::new(format!("cannot answer run {}", brief(&id)), why)
            .next(format!("gantry run show {}", brief(&id))));
    }
    Err(Trouble::new(
        format!("cannot answer run {}", brief(&id)),
        format!("the question lies more than {DEPTH} runs down"),
    ))
}

/// What is sent for these words.
fn reply(wait: &Value, text: &str) -> Result<Value, String> {
    if wait["details"]["tool_calls"].is_array() {
        return match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "ok" => Ok(json!({"approved": true})),
            "no" | "n" => Ok(json!({"approved": false})),
            _ => Err("a tool waits for permission: answer yes or no".to_owned()),
        };
    }
    if text.is_empty() {
        return Err("the answer is missing".to_owned());
    }
    let choices: Vec<String> = wait["choices"].as_array().into_iter().flatten().map(text_of).collect();
    if wait["allow_free_text"] == false && !choices.is_empty() && !choices.iter().any(|choice| choice == text) {
        return Err(format!("'{text}' is none of the choices: {}", plain(&choices.join(", "))));
    }
    Ok(json!({"response": text}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_be_one_that_the_run_takes() {
        let open = json!({"reason": "user", "choices": ["a"], "allow_free_text": true});
        assert_eq!(reply(&open, "other"), Ok(json!({"response": "other"})));
        let closed = json!({"reason": "user", "choices": ["a", "b"], "allow_free_text": false});
        assert_eq!(reply(&closed, "b"), Ok(json!({"response": "b"})));
        assert!(reply(&closed, "c").unwrap_err().ends_with("a, b"));
        assert!(reply(&open, "").is_err());
    }

    #[test]
    fn permission_for_a_tool_is_yes_or_no() {
        let wait = json!({"reason": "user", "details": {"mode": "approval_required", "tool_calls": []}});
        assert_eq!(reply(&wait, "Yes"), Ok(json!({"approved": true})));
        assert_eq!(reply(&wait, "no"), Ok(json!({"approved": false})));
        assert!(reply(&wait, "maybe").is_err());
    }
}
