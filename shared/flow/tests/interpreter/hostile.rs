//! Flows that mean harm, or are only clumsy: none may panic, recurse without bound or hold a runner.

use crate::driver::Driver;
use crate::sketch::{compiled, library, sketch};
use domain::{Object, RunStatus, Source, StartRun};
use flow::{Effect, Library, State, World};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

fn begun(document: &Value) -> (Library, State) {
    let (library, flow) = compiled(document);
    let request = StartRun {
        run_id: "run".into(),
        workflow_id: "w".into(),
        source: Source::Bundle { sha256: String::new() },
        vars: Object::new(),
        session_id: "s".into(),
        actor_id: "gateway".to_owned(),
        parent_run_id: None,
        report_to_parent: false,
        created_at: "2026-01-01".parse().unwrap(),
        request_digest: None,
    };
    let state = flow::start(&request, flow.entry());
    (library, state)
}

/// Steps until the run rests, at most so many times; answers with the run and whether it rests.
fn settle(document: &Value, steps: usize) -> (State, bool) {
    let (library, mut state) = begun(document);
    let flow = library.get(&"w".into()).unwrap().clone();
    for _ in 0..steps {
        let world = World { flow: &flow, flows: &library, now: "2026-01-01".parse().unwrap(), zone: &TimeZone::UTC };
        let step = flow::step(world, state, &[]);
        let text = serde_json::to_string(&step.state).unwrap();
        state = serde_json::from_str(&text).expect("a state can always be read again");
        if !step.effects.contains(&Effect::Continue) {
            return (state, true);
        }
    }
    (state, false)
}

#[test]
fn an_endless_circle_of_nodes_stops_at_the_budget_of_a_step_and_goes_on_in_the_next() {
    let document = sketch(
        &[
            ("start", "on_flow_start", json!({})),
            ("a", "set_var", json!({"pinDefaults": {"name": "x", "value": 1}})),
            ("b", "answer_user", json!({"pinDefaults": {"message": "again"}})),
        ],
        &["start.exec-out>a.exec-in", "a.exec-out>b.exec-in", "b.exec-out>a.exec-in"],
    );
    let (state, rests) = settle(&document, 3);
    assert!(!rests && state.status == RunStatus::Running);
    assert!(state.cursor < 3 * 600, "{} records", state.cursor);
}

#[test]
fn a_value_that_doubles_in_each_pass_ends_the_run_instead_of_the_runner() {
    let document = sketch(
        &[
            ("for", "for", json!({"pinDefaults": {"start": 0, "end": 60}})),
            ("get", "get_var", json!({"pinDefaults": {"name": "x"}})),
            ("or", "coalesce", json!({"pinDefaults": {"b": "0123456789abcdef"}})),
            ("twice", "concat", json!({})),
            ("set", "set_var", json!({"pinDefaults": {"name": "x"}})),
        ],
        &["for.loop>set.exec-in", "get.value>or.a", "or.result>twice.a", "or.result>twice.b", "twice.result>set.value"],
    );
    let (state, rests) = settle(&document, 200);
    assert!(rests && state.status == RunStatus::Failed, "{:?}", state.output);
    assert!(state.error.unwrap().contains("larger"));
}

#[test]
fn a_value_that_nests_in_each_pass_ends_the_run_and_leaves_a_readable_state() {
    let document = sketch(
        &[
            ("for", "for", json!({"pinDefaults": {"start": 0, "end": 400}})),
            ("get", "get_var", json!({"pinDefaults": {"name": "x"}})),
            ("wrap", "make_object", json!({})),
            ("set", "set_var", json!({"pinDefaults": {"name": "a.b.c.d.x"}})),
        ],
        &["for.loop>set.exec-in", "get.value>wrap.in", "wrap.result>set.value"],
    );
    let nested = sketch(
        &[
            ("for", "for", json!({"pinDefaults": {"start": 0, "end": 400}})),
            ("get", "get_var", json!({"pinDefaults": {"name": "x"}})),
            ("wrap", "make_object", json!({})),
            ("set", "set_var", json!({"pinDefaults": {"name": "x"}})),
        ],
        &["for.loop>set.exec-in", "get.value>wrap.in", "wrap.result>set.value"],
    );
    assert!(settle(&document, 50).1);
    let (state, rests) = settle(&nested, 50);
    assert!(rests && state.status == RunStatus::Failed);
    assert!(state.error.unwrap().contains("nested"));
}

#[test]
fn pure_nodes_that_share_their_inputs_are_evaluated_once_per_pull() {
    let names: Vec<String> = (0..60).map(|place| format!("n{place}")).collect();
    let mut nodes = vec![("end", "on_flow_end", json!({}))];
    let mut edges = vec!["n59.result>end.sum".to_owned()];
    for (place, name) in names.iter().enumerate() {
        nodes.push((
            name,
            "add",
            json!({"pinDefaults": if place == 0 { json!({"a": 0.5, "b": 0.5}) } else { json!({}) }}),
        ));
        if place > 0 {
            edges.push(format!("n{}.result>{name}.a", place - 1));
            edges.push(format!("n{}.result>{name}.b", place - 1));
        }
    }
    let mut document = sketch(&nodes, &edges.iter().map(String::as_str).collect::<Vec<_>>());
    document["nodes"][0]["data"]["inputs"].as_array_mut().unwrap().push(json!({"id": "exec-in", "type": "execution"}));
    let (state, _) = settle(&document, 1);
    assert_eq!(state.output, Some(json!({"sum": 2.0_f64.powi(59), "success": true})));
}

#[test]
fn pure_nodes_wired_in_a_circle_are_an_error_and_not_a_stack_overflow() {
    let mut document = sketch(
        &[("end", "on_flow_end", json!({})), ("a", "add", json!({})), ("b", "add", json!({}))],
        &["a.result>end.x", "b.result>a.a", "a.result>b.a"],
    );
    document["nodes"][0]["data"]["inputs"].as_array_mut().unwrap().push(json!({"id": "exec-in", "type": "execution"}));
    let (state, _) = settle(&document, 1);
    assert_eq!(state.output.unwrap()["success"], false);
}

#[test]
fn a_flow_that_starts_itself_ends_at_the_depth_limit() {
    let document = sketch(
        &[
            ("start", "on_flow_start", json!({})),
            ("sub", "subflow", json!({"subflowId": "w"})),
            ("end", "on_flow_end", json!({})),
        ],
        &["start.exec-out>sub.exec-in", "sub.exec-out>end.exec-in"],
    );
    let mut driver = Driver::new(library(&document), &[]);
    driver.start("w", Object::new(), "s", Source::Bundle { sha256: String::new() });
    driver.drive();
    assert_eq!(driver.runs.len(), 65);
    assert!(driver.runs[64].error.as_deref().unwrap().contains("64 runs deep"));
    assert_eq!(driver.runs[0].status, RunStatus::Completed);
}

#[test]
fn a_loop_without_end_stops_after_its_passes() {
    let document = sketch(
        &[
            ("while", "while", json!({"pinDefaults": {"condition": true}})),
            ("set", "set_var", json!({"pinDefaults": {"name": "x", "value": 1}})),
        ],
        &["while.loop>set.exec-in"],
    );
    let (state, rests) = settle(&document, 50);
    assert!(rests);
    assert_eq!(state.output.unwrap()["error"], "while: more than 10000 passes");
}
