//! A run as `GET /runs/{run_id}` shows it: all 21 keys, in the order of the contract.

use super::find::Known;
use domain::{Object, RunStatus, StartRun, Time, Wait};
use flow::State;
use serde::Serialize;
use serde_json::{Value, json};

/// The run object.
#[derive(Debug, Serialize)]
pub struct RunView<'a> {
    run_id: &'a str,
    workflow_id: &'a str,
    status: RunStatus,
    current_node: &'a str,
    created_at: Time,
    updated_at: Time,
    actor_id: &'a str,
    session_id: &'a str,
    parent_run_id: Option<&'a str>,
    error: Option<&'a str>,
    flow_warnings: Option<&'a Value>,
    paused: bool,
    pause_reason: Option<&'a str>,
    paused_at: Option<Time>,
    resumed_at: Option<Time>,
    waiting: Option<WaitView<'a>>,
    is_scheduled: bool,
    schedule: Option<Object>,
    limits: Value,
    run_lifecycle: Option<&'a Value>,
    is_draft: bool,
}

/// A wait without what only the kernel needs.
#[derive(Debug, Serialize)]
pub struct WaitView<'a> {
    reason: domain::WaitReason,
    wait_key: Option<&'a str>,
    until: Option<Time>,
    prompt: Option<&'a str>,
    choices: Option<&'a Vec<Value>>,
    allow_free_text: bool,
    details: Option<&'a Object>,
}

impl<'a> WaitView<'a> {
    /// Of a wait.
    pub fn new(wait: &'a Wait) -> Self {
        Self {
            reason: wait.reason,
            wait_key: wait.wait_key.as_deref(),
            until: wait.until,
            prompt: wait.prompt.as_deref(),
            choices: wait.choices.as_ref(),
            allow_free_text: wait.allow_free_text,
            details: wait.details.as_ref(),
        }
    }
}

impl<'a> RunView<'a> {
    /// Of a known run; `entry` is the node at which one begins that has not taken a step yet.
    pub fn new(known: &'a Known, entry: &'a str) -> Self {
        match known {
            Known::Begun(head) => Self::of(&head.state),
            Known::Accepted(start) => Self::accepted(start, entry),
        }
    }

    /// Of a state.
    pub fn of(state: &'a State) -> Self {
        Self {
            status: state.status,
            current_node: &state.current_node,
            updated_at: state.updated_at,
            parent_run_id: state.parent_run_id.as_ref().map(domain::RunId::as_str),
            error: state.error.as_deref(),
            flow_warnings: state.vars.get("_flow_warnings").filter(|value| !value.is_null()),
            paused: state.control.paused,
            pause_reason: state.control.pause_reason.as_deref(),
            paused_at: state.control.paused_at,
            resumed_at: state.control.resumed_at,
            waiting: state.waiting.as_ref().map(WaitView::new),
            ..Self::plain(
                (state.run_id.as_str(), state.workflow_id.as_str(), state.session_id.as_str()),
                &state.actor_id,
                state.created_at,
                &state.vars,
            )
        }
    }

    fn accepted(start: &'a StartRun, entry: &'a str) -> Self {
        let ids = (start.run_id.as_str(), start.workflow_id.as_str(), start.session_id.as_str());
        Self {
            current_node: entry,
            parent_run_id: start.parent_run_id.as_ref().map(domain::RunId::as_str),
            ..Self::plain(ids, &start.actor_id, start.created_at, &start.vars)
        }
    }

    fn plain(ids: (&'a str, &'a str, &'a str), actor_id: &'a str, created_at: Time, vars: &'a Object) -> Self {
        let (run_id, workflow_id, session_id) = ids;
        let lifecycle = vars.get("_run_lifecycle").filter(|value| !value.is_null());
        let schedule = schedule(vars);
        Self {
            run_id,
            workflow_id,
            status: RunStatus::Running,
            current_node: "",
            created_at,
            updated_at: created_at,
            actor_id,
            session_id,
            parent_run_id: None,
            error: None,
            flow_warnings: None,
            paused: false,
            pause_reason: None,
            paused_at: None,
            resumed_at: None,
            waiting: None,
            is_scheduled: schedule.is_some(),
            schedule,
            limits: limits(vars),
            run_lifecycle: lifecycle,
            is_draft: lifecycle.is_some_and(|value| value["purpose"] == "draft_test"),
        }
    }
}

const SCHEDULE_KEYS: [&str; 11] = [
    "kind",
    "interval",
    "repeat_count",
    "repeat_until",
    "start_at",
    "share_context",
    "target_workflow_id",
    "target_bundle_ref",
    "target_flow_id",
    "created_at",
    "updated_at",
];

fn schedule(vars: &Object) -> Option<Object> {
    let stored = vars.get("_meta")?.get("schedule")?.as_object()?;
    let value = |key: &str| stored.get(key).cloned().unwrap_or(Value::Null);
    Some(SCHEDULE_KEYS.iter().map(|key| ((*key).to_owned(), value(key))).collect())
}

fn limits(vars: &Object) -> Value {
    let stored = vars.get("_limits").and_then(Value::as_object);
    let number = |key: &str| stored.and_then(|limits| limits.get(key)).and_then(Value::as_u64);
    let used = number("estimated_tokens_used").unwrap_or(0);
    let most = number("max_tokens").unwrap_or(32_768);
    let input = number("max_input_tokens");
    #[expect(clippy::cast_precision_loss, reason = "a percentage of token counts")]
    let pct = (used as f64 / input.unwrap_or(most).max(1) as f64 * 1_000.0).round() / 10.0;
    json!({"tokens": {
        "estimated_used": used,
        "max_tokens": most,
        "max_input_tokens": input,
        "pct": pct,
        "warn_tokens_pct": number("warn_tokens_pct").unwrap_or(80),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_just_accepted_shows_every_key_of_the_contract() {
        let start: StartRun = serde_json::from_value(json!({
            "run_id": "r", "workflow_id": "fix@0.1.0:echo", "source": {"bundle": {"sha256": "ab"}},
            "vars": {"prompt": "Hello", "_run_lifecycle": {"purpose": "draft_test"}}, "session_id": "sess-1",
            "actor_id": "gateway", "created_at": "2026-11-20T23:26:44.103285+00:00",
        }))
        .unwrap();
        let known = Known::Accepted(Box::new(start));
        let expected = concat!(
            r#"{"run_id":"r","workflow_id":"fix@0.1.0:echo","status":"running","current_node":"start","#,
            r#""created_at":"2026-11-20T23:26:44.103285+00:00","updated_at":"2026-11-20T23:26:44.103285+00:00","#,
            r#""actor_id":"gateway","session_id":"sess-1","parent_run_id":null,"error":null,"flow_warnings":null,"#,
            r#""paused":false,"pause_reason":null,"paused_at":null,"resumed_at":null,"waiting":null,"#,
            r#""is_scheduled":false,"schedule":null,"limits":{"tokens":{"estimated_used":0,"max_tokens":32768,"#,
            r#""max_input_tokens":null,"pct":0.0,"warn_tokens_pct":80}},"#,
            r#""run_lifecycle":{"purpose":"draft_test"},"is_draft":true}"#
        );
        assert_eq!(serde_json::to_string(&RunView::new(&known, "start")).unwrap(), expected);
    }
}
