//! What must hold of every ledger, whatever was killed while it was written.

use serde_json::Value;
use std::collections::{HashMap, HashSet};

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

/// Panics unless a ledger is one that a run without any fault could have written.
pub(crate) fn of_a_ledger(run: &str, records: &[Value]) {
    let told = || records.iter().map(|record| format!("  {record}\n")).collect::<String>();
    assert!(records.iter().all(|record| record["run_id"] == run), "a record of another run:\n{}", told());
    let ends = records.iter().filter(|record| text(record, "idempotency_key").starts_with("system:terminal_status:"));
    assert_eq!(ends.count(), 1, "run {run} must end once:\n{}", told());
    let last = records.last().map(|record| text(record, "idempotency_key")).unwrap_or_default();
    assert!(last.starts_with("system:terminal_status:"), "something follows the end of run {run}:\n{}", told());

    let (mut open, mut steps) = (HashMap::new(), HashSet::new());
    let mut attempts: HashMap<&str, u64> = HashMap::new();
    for record in records {
        let (step, key) = (text(record, "step_id"), text(record, "idempotency_key"));
        if record["status"] == "started" {
            assert!(steps.insert(step) && open.insert(step, record).is_none(), "step {step} began twice:\n{}", told());
            let attempt = attempts.entry(key).or_default();
            *attempt += 1;
            assert_eq!(record["attempt"], *attempt, "attempts of {key} must count from one:\n{}", told());
        } else if let Some(begun) = open.remove(step) {
            assert_eq!(
                (&begun["attempt"], &begun["started_at"]),
                (&record["attempt"], &record["started_at"]),
                "{}",
                told()
            );
        } else {
            assert!(steps.insert(step), "step {step} was closed twice:\n{}", told());
        }
    }
    assert!(open.is_empty(), "steps of run {run} were never closed: {open:?}");
}

/// The answers in a ledger, in the order in which they woke the run.
pub(crate) fn answers(records: &[Value]) -> Vec<String> {
    let resumes = records.iter().filter(|record| record["effect"]["type"] == "resume");
    resumes.map(|record| text(&record["effect"]["payload"]["payload"], "response").to_owned()).collect()
}
