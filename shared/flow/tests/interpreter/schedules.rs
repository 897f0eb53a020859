//! Schedules: generated flows that sleep, start their target and can be changed while they run.

use crate::driver::Driver;
use domain::{CommandKind, RunStatus, Source, WorkflowId};
use flow::{Library, schedule};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000_000;

fn plan(interval: Option<&str>, count: Option<u64>, prefix: Option<&str>) -> schedule::Plan {
    schedule::Plan {
        target: "scheduled:target".into(),
        start_at: None,
        interval: interval.map(str::to_owned),
        repeat_count: count,
        session_prefix: prefix.map(str::to_owned),
    }
}

/// A driver with a schedule as its root run. The target is the same id in the same library, replaced by an echo.
fn scheduled(plan: &schedule::Plan) -> (Driver, domain::RunId) {
    scheduled_with(plan, json!({"prompt": "Ping"}))
}

fn scheduled_with(plan: &schedule::Plan, input: Value) -> (Driver, domain::RunId) {
    let id: WorkflowId = "scheduled:1".into();
    let document = schedule::document(&id, plan);
    let echo = json!({"id": "echo", "entryNode": "start", "nodes": [
        {"id": "start", "type": "on_flow_start", "data": {"outputs": [{"id": "exec-out", "type": "execution"}, {"id": "prompt", "type": "string"}]}},
        {"id": "end", "type": "on_flow_end", "data": {"inputs": [{"id": "exec-in", "type": "execution"}, {"id": "response", "type": "string"}]}},
    ], "edges": [
        {"source": "start", "sourceHandle": "exec-out", "target": "end", "targetHandle": "exec-in"},
        {"source": "start", "sourceHandle": "prompt", "target": "end", "targetHandle": "response"},
    ]});
    let library = Library::from_documents([(&id, &document), (&plan.target, &echo)]).unwrap();
    let mut driver = Driver::new(library, &[]);
    let meta = schedule::meta(plan, domain::Object::new());
    let vars = json!({"vars": input, "_meta": {"schedule": meta}}).as_object().cloned().unwrap();
    let root = driver.start(id.as_str(), vars, "sess", Source::Inline { document: Box::new(document) });
    driver.drive();
    (driver, root)
}

fn ledger(driver: &Driver) -> Vec<String> {
    let line = |record: &Value| {
        let kind = record["effect"]["type"].as_str().unwrap_or("-");
        format!("{} {} {kind}", record["node_id"].as_str().unwrap(), record["status"].as_str().unwrap())
    };
    driver.ledgers[0].iter().map(line).collect()
}

#[test]
fn a_schedule_of_two_starts_its_target_twice_and_ends() {
    let (mut driver, _) = scheduled(&plan(Some("2h"), Some(2), None));
    assert_eq!(driver.runs[0].current_node, schedule::WAIT_INTERVAL);
    driver.sleep(2 * HOUR);
    let expected = [
        "wait_start started wait_until",
        "wait_start completed wait_until",
        "run_target started start_subworkflow",
        "run_target waiting start_subworkflow",
        "run_target completed resume",
        "wait_interval started wait_until",
        "wait_interval waiting wait_until",
        "run_target started start_subworkflow",
        "run_target waiting start_subworkflow",
        "run_target completed resume",
        "end completed -",
        "end completed emit_event",
    ];
    assert_eq!(ledger(&driver), expected);
    assert_eq!(driver.runs.len(), 3);
    assert_eq!(driver.runs[2].output, Some(json!({"response": "Ping", "success": true})));
    assert_eq!(driver.runs[2].session_id.as_str(), "sess");
}

#[test]
fn a_schedule_of_one_ends_after_its_target() {
    let (driver, _) = scheduled(&plan(None, None, None));
    assert_eq!(driver.runs[0].status, RunStatus::Completed);
    assert_eq!(driver.runs.len(), 2);
}

#[test]
fn an_endless_schedule_goes_on_with_a_session_for_each_pass() {
    let (mut driver, root) = scheduled(&plan(Some("1h"), None, Some("scheduled:9")));
    driver.sleep(3 * HOUR);
    let sessions: Vec<&str> = driver.runs[1..].iter().map(|run| run.session_id.as_str()).collect();
    assert_eq!(sessions, ["scheduled:9:0", "scheduled:9:1", "scheduled:9:2", "scheduled:9:3"]);
    assert_eq!(driver.runs[0].current_node, schedule::WAIT_INTERVAL);
    driver.command(&root, CommandKind::Cancel, json!({}));
    driver.sleep(HOUR);
    assert_eq!((driver.runs[0].status, driver.runs.len()), (RunStatus::Cancelled, 5));
}

#[test]
fn a_new_interval_moves_the_sleep_and_stays() {
    let (mut driver, root) = scheduled(&plan(Some("2h"), None, None));
    driver.command(&root, CommandKind::UpdateSchedule, json!({"interval": "30m"}));
    driver.drive();
    let schedule = &driver.runs[0].vars["_meta"]["schedule"];
    assert_eq!(schedule["interval"], "30m");
    assert!(schedule["updated_at"].is_string());
    let Source::Inline { document } = &driver.runs[0].source else { panic!("the flow travels with the run") };
    assert!(document.to_string().contains("30m"));
    driver.sleep(HOUR);
    assert_eq!(driver.runs.len(), 4, "one at once, one after each half hour");
}

#[test]
fn resume_without_an_answer_starts_a_sleeping_schedule_now() {
    let (mut driver, root) = scheduled(&plan(Some("2h"), None, None));
    driver.command(&root, CommandKind::Resume, json!({}));
    driver.drive();
    assert_eq!(driver.runs.len(), 3);
    driver.sleep(HOUR);
    assert_eq!(driver.runs.len(), 3, "the cancelled timer does not ring");
}

#[test]
fn a_bad_interval_fails_the_schedule_at_its_first_sleep() {
    let (driver, _) = scheduled(&plan(Some("soon"), None, None));
    assert_eq!(driver.runs[0].status, RunStatus::Failed);
    assert!(driver.runs[0].error.as_deref().unwrap().contains("soon"));
}

#[test]
fn a_target_without_input_gets_none_of_the_schedules_own_values() {
    let (driver, _) = scheduled_with(&plan(Some("2h"), Some(2), None), json!({}));
    let started = &driver.ledgers[0][2]["effect"]["payload"];
    assert_eq!(started["vars"], json!({}));
}
