//! A ledger record as a line that a person likes to read.

use super::super::output::text_of;
use super::super::{Style, Tone, plain, short, when};
use super::{brief, prompt};
use serde_json::Value;

const NODE_WIDTH: usize = 18;
const SUMMARY: usize = 100;

/// How records of one run are painted.
#[derive(Clone, Debug)]
pub(super) struct Painter {
    /// The moment from which offsets count, in microseconds.
    pub(super) begin: i64,
    /// What stands in front of every line; empty for the run that is watched.
    pub(super) lane: String,
    /// Whether tones become colours.
    pub(super) style: Style,
}

/// A painted record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Painted {
    /// The step that the record belongs to.
    pub(super) step: String,
    /// Whether it only says that the step has begun. Such lines are left out when the step ends at once.
    pub(super) is_begin: bool,
    /// The lines.
    pub(super) lines: Vec<String>,
}

impl Painter {
    /// Paints a record of that run.
    pub(super) fn paint(&self, run: &str, record: &Value) -> Painted {
        let status = record["status"].as_str().unwrap_or_default();
        let at = when::moment(&record["ended_at"]).or_else(|| when::moment(&record["started_at"]));
        let at = at.map_or(String::new(), |at| when::offset(at.as_micros() - self.begin));
        let (glyph, tone) = glyph(status, record);
        let node = short(&text_of(&record["node_id"]), NODE_WIDTH);
        let what = self.summary(status, record);
        let line = format!(
            "{} {}{} {node:<NODE_WIDTH$} {what}",
            self.style.paint(Tone::Faint, &at),
            self.lane,
            self.style.paint(tone, glyph),
        );
        let mut lines = vec![line.trim_end().to_owned()];
        if status == "waiting" {
            let margin = " ".repeat(12 + self.lane.chars().count());
            let block = prompt::lines(&record["result"]["wait"], run, self.style);
            lines.extend(block.into_iter().map(|line| format!("{margin}{line}")));
        }
        Painted { step: text_of(&record["step_id"]), is_begin: status == "started", lines }
    }

    fn summary(&self, status: &str, record: &Value) -> String {
        let faint = |text: &str| self.style.paint(Tone::Faint, text);
        let effect = &record["effect"];
        let kind = effect["type"].as_str().unwrap_or_default();
        if let Some(end) = ended(record) {
            return self.style.paint(if end == "completed" { Tone::Good } else { Tone::Bad }, &format!("run {end}"));
        }
        if status == "failed" {
            let why = short(&text_of(&record["error"]), SUMMARY);
            return format!("{} {}", plain(kind), self.style.paint(Tone::Bad, &why));
        }
        if let Some(output) = super::show::output_of(record) {
            return format!("output {}", faint(&short(&output.to_string(), SUMMARY)));
        }
        let text = match status {
            "started" => arguments(kind, &effect["payload"]),
            // The block below the line says what is waited for.
            "waiting" => String::new(),
            _ => outcome(kind, record),
        };
        let took = duration(record).map(|took| format!(" {took}")).unwrap_or_default();
        format!("{}{} {}", plain(kind), faint(&took), faint(&short(&text, SUMMARY))).trim_end().to_owned()
    }
}

/// The end that a run's last record reports.
pub(super) fn ended(record: &Value) -> Option<&str> {
    let key = record["idempotency_key"].as_str().unwrap_or_default();
    key.strip_prefix("system:terminal_status:").or_else(|| {
        let payload = &record["effect"]["payload"];
        payload["payload"]["text"]
            .as_str()
            .filter(|_| payload["name"] == "abstract.status" && record["result"]["emitted"] == true)
    })
}

fn glyph(status: &str, record: &Value) -> (&'static str, Tone) {
    match (status, ended(record)) {
        (_, Some("completed")) => ("■", Tone::Good),
        (_, Some(_)) => ("■", Tone::Bad),
        ("started", None) => ("▶", Tone::Faint),
        ("completed", None) => ("✔", Tone::Good),
        ("waiting", None) => ("…", Tone::Waiting),
        ("failed", None) => ("✘", Tone::Bad),
        (_, None) => ("·", Tone::Faint),
    }
}

/// What an effect is about to do.
fn arguments(kind: &str, payload: &Value) -> String {
    match kind {
        "ask_user" | "wait_event" => text_of(&payload["prompt"]),
        "answer_user" => text_of(&payload["message"]),
        "llm_call" => text_of(&payload["model"]),
        "emit_event" => text_of(&payload["name"]),
        "start_subworkflow" => text_of(&payload["workflow_id"]),
        "tool_calls" => names(&payload["tool_calls"]),
        _ => String::new(),
    }
}

/// What came of an effect.
fn outcome(kind: &str, record: &Value) -> String {
    let (payload, result) = (&record["effect"]["payload"], &record["result"]);
    match kind {
        "ask_user" => String::new(),
        "resume" => resumed(payload),
        "answer_user" => text_of(&result["message"]),
        "llm_call" => {
            let (model, tokens) = (text_of(&result["model"]), text_of(&result["usage"]["total_tokens"]));
            format!("{model} {tokens} tokens: {}", text_of(&result["content"]))
        }
        "emit_event" => {
            let delivered = text_of(&result["delivered"]);
            format!("{} to {} waiting", text_of(&payload["name"]), if delivered.is_empty() { "0" } else { &delivered })
        }
        "start_subworkflow" => {
            format!("{} {}", text_of(&payload["workflow_id"]), brief(&text_of(&result["sub_run_id"])))
        }
        "tool_calls" => names(&result["results"]),
        _ => match result {
            Value::Object(entries) if !entries.is_empty() => result.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                String::new()
            }
        },
    }
}

/// How a wait ended: the answer itself where there is one.
fn resumed(payload: &Value) -> String {
    let answer = &payload["payload"];
    match payload["wait_reason"].as_str() {
        Some("user") if answer["response"].is_string() => format!("“{}”", text_of(&answer["response"])),
        Some("event") => format!("{} {}", text_of(&answer["name"]), answer["payload"]),
        Some("subworkflow") => format!("run {} ended: {}", brief(&text_of(&answer["sub_run_id"])), answer["output"]),
        _ => text_of(answer),
    }
}

fn names(calls: &Value) -> String {
    let calls = calls.as_array().into_iter().flatten();
    calls.map(|call| text_of(&call["name"])).collect::<Vec<_>>().join(", ")
}

/// How long a step took, where that is worth a word.
fn duration(record: &Value) -> Option<String> {
    let (started, ended) = (when::moment(&record["started_at"])?, when::moment(&record["ended_at"])?);
    let micros = ended.as_micros() - started.as_micros();
    (micros >= 1_000 && record["status"] == "completed").then(|| when::took(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn painter() -> Painter {
        let begin = when::moment(&json!("2026-11-20T23:26:44.000000+00:00")).unwrap().as_micros();
        Painter { begin, lane: String::new(), style: Style::default() }
    }

    fn record(status: &str, effect: &Value, result: &Value) -> Value {
        json!({"step_id": "s", "node_id": "ask", "status": status, "effect": effect, "result": result, "error": null,
            "started_at": "2026-11-20T23:26:44.464536+00:00", "ended_at": "2026-11-20T23:26:44.465296+00:00",
            "idempotency_key": null})
    }

    fn lines(record: &Value) -> Vec<String> {
        painter().paint("538d88fa-ab80-4f82-8318-6edfa2be41c4", record).lines
    }

    #[test]
    fn a_waiting_question_is_a_line_and_a_block() {
        let wait = json!({"wait": {"reason": "user", "prompt": "who?", "choices": null, "allow_free_text": true}});
        let record = record("waiting", &json!({"type": "ask_user", "payload": {"prompt": "who?"}}), &wait);
        assert_eq!(
            lines(&record),
            [
                "   0.465s … ask                ask_user",
                "            ┃ who?",
                "            ┃ answer:  gantry run answer 538d88fa 'your answer'",
            ]
        );
    }

    #[test]
    fn an_answer_an_output_and_an_end_are_told_apart() {
        let payload = json!({"wait_reason": "user", "payload": {"response": "I am X"}});
        let resumed = record("completed", &json!({"type": "resume", "payload": payload}), &json!({"resumed": true}));
        assert_eq!(lines(&resumed), ["   0.465s ✔ ask                resume “I am X”"]);
        let output = record("completed", &Value::Null, &json!({"completed": true, "output": {"a": 1}}));
        assert_eq!(lines(&output), ["   0.465s ✔ ask                output {\"a\":1}"]);
        let mut end = record("completed", &json!({"type": "emit_event", "payload": {}}), &json!({"emitted": true}));
        end["idempotency_key"] = json!("system:terminal_status:failed");
        assert_eq!(lines(&end), ["   0.465s ■ ask                run failed"]);
    }

    #[test]
    fn a_failure_says_why() {
        let mut failed = record("failed", &json!({"type": "llm_call", "payload": {}}), &Value::Null);
        failed["error"] = json!("no\nmodel");
        assert_eq!(lines(&failed), ["   0.465s ✘ ask                llm_call no model"]);
    }

    #[test]
    fn any_json_can_be_painted() {
        for odd in [json!(null), json!([]), json!({"effect": 1, "result": [], "status": {}})] {
            assert_eq!(painter().paint("r", &odd).lines.len(), 1);
        }
    }
}
