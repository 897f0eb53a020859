//! The golden cases, against the interpreter alone.

use crate::driver::Driver;
use domain::{CommandKind, Source};
use flow::bundle::{StartRequest, resolve_flow, start_target};
use flow::{Bundle, Library};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn differences(case: &Path) -> Vec<String> {
    let (input, expected) = (json_file(&case.join("input.json")), json_file(&case.join("expected.json")));
    let bytes = fs::read(case.join("bundle.flow")).unwrap();
    let bundle = Bundle::read(&bytes).unwrap();
    let library = match Library::compile(&bundle) {
        Ok(library) => library,
        Err(_) if expected["load_error"] == true => return Vec::new(),
        Err(error) => return vec![error.to_string()],
    };
    if expected["load_error"] == true {
        return vec!["the bundle compiled".to_owned()];
    }
    let mut driver = Driver::new(library, input["llm_script"].as_array().map(Vec::as_slice).unwrap_or_default());
    let flow_id = input.pointer("/start/flow_id").or_else(|| input.get("flow_id")).and_then(Value::as_str);
    let target = start_target(&StartRequest { flow_id, ..StartRequest::default() }).unwrap();
    let workflow = bundle.reference().workflow(resolve_flow(&bundle, target.flow.as_deref()).unwrap());
    let session = input["session_id"].as_str().unwrap();
    let vars = input["input_data"].as_object().cloned().unwrap_or_default();
    let root = driver.start(workflow.as_str(), vars, session, Source::Bundle { sha256: bundle.sha256.clone() });
    driver.drive();
    let steps = input["steps"].as_array().cloned().unwrap_or_default();
    let mut checkpoints = vec![driver.checkpoint("start")];
    for step in &steps {
        let action = step["action"].as_str().unwrap();
        match action {
            "resume" => {
                let run = driver.waiting_for(step["reason"].as_str().unwrap());
                driver.command(&run, CommandKind::Resume, json!({"payload": step["payload"]}));
            }
            "emit_event" => {
                let mut payload = step.clone();
                payload["session_id"] = json!(session);
                driver.command(&root, CommandKind::EmitEvent, payload);
            }
            "pause" => driver.command(&root, CommandKind::Pause, json!({"reason": step["reason"]})),
            "resume_run" => driver.command(&root, CommandKind::Resume, json!({})),
            "cancel" => driver.command(&root, CommandKind::Cancel, json!({})),
            "sleep_ms" => driver.sleep(step["ms"].as_i64().unwrap() * 1000),
            other => panic!("unknown step '{other}'"),
        }
        driver.drive();
        checkpoints.push(driver.checkpoint(action));
    }
    if steps.is_empty() {
        checkpoints.clear();
    }
    testkit::golden::differences(&expected, &driver.observed(checkpoints))
}

#[test]
fn every_golden_case_runs_as_expected() {
    let cases = cases();
    assert_eq!(cases.len(), 27, "the README of the golden cases counts them");
    let mut failed = String::new();
    for case in &cases {
        for line in differences(case) {
            failed.push_str(&format!("{}: {line}\n", case.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
}

#[test]
fn the_comparison_notices_a_case_that_does_not_fit() {
    let case = cases().into_iter().find(|case| case.ends_with("01-echo-answer-user")).unwrap();
    assert!(differences(&case).is_empty());
    let other = cases().into_iter().find(|case| case.ends_with("03-if-true")).unwrap();
    let expected = json_file(&other.join("expected.json"));
    assert!(!testkit::golden::differences(&expected, &json_file(&case.join("expected.json"))).is_empty());
}
