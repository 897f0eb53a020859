//! A run as lists show it: a light row of the read model.

use serde::Serialize;
use serde_json::{Map, Value, json};
use store::runs::Row;

/// One row, in the order of the contract.
pub fn light(row: &Row, with_metrics: bool, with_ledger_len: bool) -> Map<String, Value> {
    let lifecycle: Value =
        row.lifecycle.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut item = Map::new();
    let mut put = |key: &str, value: Value| drop(item.insert(key.to_owned(), value));
    put("run_id", text(&row.run_id));
    put("workflow_id", text(&row.workflow_id));
    put("status", text(&row.status));
    put("current_node", Value::Null);
    put("created_at", text(&row.created_at));
    put("updated_at", text(&row.updated_at));
    put("actor_id", text(&row.actor_id));
    put("session_id", text(&row.session_id));
    put("parent_run_id", text(&row.parent_run_id));
    put("error", Value::Null);
    put("paused", Value::Bool(false));
    for key in ["pause_reason", "paused_at", "resumed_at"] {
        put(key, Value::Null);
    }
    put("waiting", waiting(row));
    put("is_scheduled", Value::Bool(false));
    put("schedule", Value::Null);
    put("limits", Value::Null);
    put("run_lifecycle", lifecycle);
    put("is_draft", Value::Bool(row.is_draft));
    if with_metrics {
        for (key, value) in metrics(&row.counts) {
            put(key, value);
        }
    }
    if with_ledger_len {
        put("ledger_len", row.ledger_len.into());
    }
    item
}

fn text(value: &impl Serialize) -> Value {
    json!(value)
}

fn waiting(row: &Row) -> Value {
    match (&row.wait_reason, &row.wait_until) {
        (None, _) => Value::Null,
        (Some(reason), None) => json!({"reason": reason}),
        (Some(reason), Some(until)) => json!({"reason": reason, "until": until}),
    }
}

/// Effects by kind. Tokens are unknown here: they are in the records of the model calls.
fn metrics(counts: &str) -> [(&'static str, Value); 4] {
    let counts: Map<String, Value> = serde_json::from_str(counts).unwrap_or_default();
    let of = |key: &str| counts.get(key).and_then(Value::as_u64).unwrap_or(0);
    let steps: u64 = counts.values().filter_map(Value::as_u64).sum();
    [
        ("steps", steps.into()),
        ("llm_calls", of("llm_call").into()),
        ("tool_calls", of("tool_calls").into()),
        ("tokens_total", Value::Null),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_keys_and_order_of_the_contract() {
        let row = Row {
            run_id: "r".into(),
            workflow_id: "w".into(),
            status: "waiting".into(),
            created_at: "a".into(),
            updated_at: "b".into(),
            actor_id: "gateway".into(),
            session_id: "s".into(),
            parent_run_id: None,
            error: Some("hidden".into()),
            wait_reason: Some("user".into()),
            wait_until: None,
            ledger_len: 6,
            lifecycle: None,
            is_draft: false,
            counts: r#"{"llm_call":2,"ask_user":1}"#.into(),
        };
        let shown = serde_json::to_string(&light(&row, true, true)).unwrap();
        let expected = concat!(
            r#"{"run_id":"r","workflow_id":"w","status":"waiting","current_node":null,"created_at":"a","#,
            r#""updated_at":"b","actor_id":"gateway","session_id":"s","parent_run_id":null,"error":null,"#,
            r#""paused":false,"pause_reason":null,"paused_at":null,"resumed_at":null,"waiting":{"reason":"user"},"#,
            r#""is_scheduled":false,"schedule":null,"limits":null,"run_lifecycle":null,"is_draft":false,"#,
            r#""steps":3,"llm_calls":2,"tool_calls":0,"tokens_total":null,"ledger_len":6}"#
        );
        assert_eq!(shown, expected);
    }
}
