//! The numbers behind a wait, as lines for people: who holds what, and what would free it.

use super::job::brief;
use super::text;
use serde_json::Value;

/// A line per number of a reason, and one per holder.
pub(super) fn lines(reason: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in reason.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                lines.extend(items.iter().map(|item| format!("held by: {}", holder(item))));
            }
            Value::Null => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                lines.push(format!("{key}: {}", said(value)));
            }
        }
    }
    lines
}

/// One who holds a slot or memory.
fn holder(holder: &Value) -> String {
    let service = text(holder, "service");
    if holder["job"].is_string() {
        let going = if holder["interrupted"] == true { ", being stopped" } else { "" };
        let seconds = holder["for_ms"].as_f64().unwrap_or_default() / 1_000.0;
        let job = text(holder, "job");
        return format!("{} (P{}) on {service} for {seconds:.1} s{going}", brief(&job), text(holder, "priority"));
    }
    if !holder["mb"].is_number() {
        return said(holder);
    }
    let jobs = match holder["jobs"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => " with 1 job".to_owned(),
        Some(jobs) => format!(" with {jobs} jobs"),
    };
    format!("{service}, {} MB, {}{jobs}", text(holder, "mb"), text(holder, "condition"))
}

/// Any value without its brackets and quotes.
fn said(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(said).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let told = members.iter().filter(|(_, value)| !value.is_null());
            told.map(|(key, value)| format!("{key} {}", said(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            super::plain(&super::super::output::text_of(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn holders_and_what_would_free_them_are_told_without_brackets_and_quotes() {
        let job = "83b05004-951f-4c70-9515-8b1544a7661d";
        let slots = json!({"because": "slots_busy", "slots": 1, "holders": [
            {"job": job, "service": "echo", "priority": 3, "for_ms": 1_240, "interrupted": true},
        ]});
        assert_eq!(
            lines(&slots),
            ["because: slots_busy", "slots: 1", "held by: 83b05004 (P3) on echo for 1.2 s, being stopped"]
        );
        let room = json!({
            "because": "no_room", "need_mb": 6_144, "device": null, "holders": [
                {"service": "vlm", "mb": 6_144, "condition": "busy", "jobs": 2},
                {"service": "asr", "mb": 1_024, "condition": "idle", "jobs": 0},
            ],
            "frees": {"by": "jobs_end", "services": ["vlm", "asr"], "or_from": null}, "disabled": [],
        });
        assert_eq!(
            lines(&room),
            [
                "because: no_room",
                "need_mb: 6144",
                "held by: vlm, 6144 MB, busy with 2 jobs",
                "held by: asr, 1024 MB, idle",
                "frees: by jobs_end, services vlm, asr",
            ]
        );
        assert_eq!(lines(&json!({"error": "a\u{1b}[31mb"})), ["error: a [31mb"]);
    }
}
