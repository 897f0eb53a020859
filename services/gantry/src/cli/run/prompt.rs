//! What a run waits for, and how to end the wait.

use super::super::output::text_of;
use super::super::{Style, Tone, plain, when};
use super::brief;
use serde_json::Value;

const MOST_LINES: usize = 40;

/// A wait as a block of lines: the question, the choices, and the command that answers it.
pub(super) fn lines(wait: &Value, run: &str, style: Style) -> Vec<String> {
    let run = brief(run);
    let bar = style.paint(Tone::Waiting, "┃");
    let strong = |text: &str| style.paint(Tone::Strong, &plain(text));
    let mut block = Vec::new();
    let question = text_of(&wait["prompt"]);
    block.extend(question.lines().take(MOST_LINES).map(strong));
    match wait["reason"].as_str().unwrap_or_default() {
        "user" if wait["details"]["kind"] == "pause" => {
            block.push(format!("go on:   gantry run resume {run}"));
        }
        "user" if wait["details"]["tool_calls"].is_array() => {
            block.extend(tool_calls(wait));
            block.push(format!("allow:   gantry run answer {run} yes"));
            block.push(format!("refuse:  gantry run answer {run} no"));
        }
        "user" => block.extend(answers(wait, &run)),
        "event" => {
            let key = text_of(&wait["wait_key"]);
            let (scope, name) = event(&key);
            block.push(format!("waits for the event {}", strong(name)));
            block.push(format!("emit:    gantry run emit {run} {}{scope}", quoted(name)));
        }
        "until" => {
            let until = when::moment(&wait["until"]);
            let left = until.map(|until| when::took(until.as_micros() - when::now().as_micros()));
            block.push(format!("waits until {} (in {})", plain(&text_of(&wait["until"])), left.unwrap_or_default()));
        }
        "subworkflow" => {
            let child = text_of(&wait["details"]["sub_run_id"]);
            let workflow = plain(&text_of(&wait["details"]["sub_workflow_id"]));
            block.push(format!("waits for run {} {workflow}", strong(&brief(&child))));
            block.push(format!("watch:   gantry run watch {}", brief(&child)));
        }
        "job" => {
            block.extend(tool_calls(wait));
            block.push(format!(
                "report:  gantry run resume {run} --payload '{{\"mode\": \"executed\", \"results\": […]}}'"
            ));
        }
        other => block.push(format!("waits: {}", plain(other))),
    }
    block.into_iter().map(|line| format!("{bar} {line}")).collect()
}

/// The child run that a wait is for.
pub(super) fn child(wait: &Value) -> Option<&str> {
    wait["details"]["sub_run_id"].as_str().filter(|_| wait["reason"] == "subworkflow")
}

fn answers(wait: &Value, run: &str) -> Vec<String> {
    let choices: Vec<String> = wait["choices"].as_array().into_iter().flatten().map(text_of).collect();
    let free = wait["allow_free_text"] != false;
    let example = choices.first().map_or("'your answer'".to_owned(), |choice| quoted(choice));
    let mut lines = Vec::new();
    if !choices.is_empty() {
        let or_else = if free { ", or any text" } else { "" };
        lines.push(format!("choices: {}{or_else}", plain(&choices.join(", "))));
    }
    lines.push(format!("answer:  gantry run answer {run} {example}"));
    lines
}

fn tool_calls(wait: &Value) -> Vec<String> {
    let calls = wait["details"]["tool_calls"].as_array().into_iter().flatten().take(MOST_LINES);
    calls
        .map(|call| {
            let arguments = super::super::short(&text_of(&call["arguments"]), 100);
            format!("tool:    {} {arguments}", plain(&text_of(&call["name"])))
        })
        .collect()
}

/// The flags and the name that an event's key stands for: `evt:<scope>:<id>:<name>`.
fn event(key: &str) -> (String, &str) {
    let mut parts = key.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("evt"), Some("session"), Some(_), Some(name)) => (String::new(), name),
        (Some("evt"), Some(scope), Some(_), Some(name)) => (format!(" --scope {}", plain(scope)), name),
        _ => (String::new(), key),
    }
}

/// A text as a shell takes it.
fn quoted(text: &str) -> String {
    let text = plain(text);
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if is_word { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RUN: &str = "538d88fa-ab80-4f82-8318-6edfa2be41c4";

    fn shown(wait: &Value) -> Vec<String> {
        lines(wait, RUN, Style::default())
    }

    #[test]
    fn a_question_is_shown_with_its_choices_and_the_command_that_answers_it() {
        let wait =
            json!({"reason": "user", "prompt": "who are\nyou ?", "choices": ["it's me", "b"], "allow_free_text": true});
        assert_eq!(
            shown(&wait),
            [
                "┃ who are",
                "┃ you ?",
                "┃ choices: it's me, b, or any text",
                "┃ answer:  gantry run answer 538d88fa 'it'\\''s me'",
            ]
        );
    }

    #[test]
    fn a_pause_an_event_and_a_child_say_how_they_end() {
        let pause = json!({"reason": "user", "prompt": "Paused", "details": {"kind": "pause"}});
        assert_eq!(shown(&pause)[1], "┃ go on:   gantry run resume 538d88fa");
        let event = json!({"reason": "event", "wait_key": "evt:global:global:go"});
        assert_eq!(shown(&event)[1], "┃ emit:    gantry run emit 538d88fa go --scope global");
        let child = json!({"reason": "subworkflow", "details": {"sub_run_id": "8c0347f8-e2cd-4c58-b975-6887b9cd4d76"}});
        assert_eq!(shown(&child)[1], "┃ watch:   gantry run watch 8c0347f8");
    }

    #[test]
    fn a_tool_that_needs_a_yes_is_named_with_its_arguments() {
        let calls = json!([{"name": "write_file", "arguments": {"path": "a"}}]);
        let wait = json!({"reason": "user", "details": {"mode": "approval_required", "tool_calls": calls}});
        let shown = shown(&wait);
        assert_eq!(shown[0], "┃ tool:    write_file {\"path\":\"a\"}");
        assert_eq!(shown[1], "┃ allow:   gantry run answer 538d88fa yes");
    }
}
