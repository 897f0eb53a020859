//! Laws of effects: events, children, failures, attempts.

use crate::by_hand::{Run, asking, modelling, statuses};
use domain::{ChildEnd, CommandKind, Envelope, EventDelivery, InboxMessage, Object, RunStatus, StepStatus, Verdict};
use flow::{ATTEMPTS, Effect, World};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

#[test]
fn a_failed_effect_fails_the_run_with_its_own_words() {
    let mut run = modelling();
    run.step(&[]);
    let done = run.done(Err("no route".to_owned()));
    let step = run.step(&[done]);
    let expected =
        vec![(StepStatus::Failed, Some("llm_call".to_owned())), (StepStatus::Completed, Some("emit_event".to_owned()))];
    assert_eq!(statuses(&step), expected);
    assert_eq!(run.state.error.as_deref(), Some("no route"));
}

#[test]
fn a_lost_attempt_is_announced_again_under_the_same_key_and_at_last_fails() {
    let mut run = modelling();
    let first = run.step(&[]);
    let Effect::CallModel { key, .. } = first.effects[0].clone() else { panic!("no model was called") };
    for attempt in 1..ATTEMPTS {
        let world = World { flow: &run.flow, flows: &run.library, now: run.now, zone: &TimeZone::UTC };
        let step = flow::attempt_lost(world, run.state.clone(), &key, attempt);
        let last = step.records.last().unwrap();
        assert_eq!((last.status, last.attempt), (StepStatus::Started, attempt + 1));
        assert_eq!(last.idempotency_key.as_deref(), Some(key.as_str()));
        assert!(matches!(&step.effects[0], Effect::CallModel { attempt: next, .. } if *next == attempt + 1));
        run.state = step.state;
    }
    let old = InboxMessage::EffectDone { key: key.clone(), attempt: 1, outcome: Ok(json!({"content": "old"})) };
    assert!(run.step(&[old]).records.is_empty(), "the result of an older attempt is refused");
    let world = World { flow: &run.flow, flows: &run.library, now: run.now, zone: &TimeZone::UTC };
    let step = flow::attempt_lost(world, run.state.clone(), &key, ATTEMPTS);
    assert_eq!(step.state.status, RunStatus::Failed);
    assert!(step.state.error.unwrap().starts_with("Effect failed after 3 attempts: "));
}

#[test]
fn a_subflow_that_does_not_exist_fails_the_run() {
    let mut run = Run::of(
        &[("sub", "subflow", json!({"subflowId": "nowhere"})), ("end", "on_flow_end", json!({}))],
        &["sub.exec-out>end.exec-in"],
        json!({}),
    );
    run.step(&[]);
    assert_eq!(run.state.error.as_deref(), Some("Workflow 'nowhere' not found in registry"));
}

#[test]
fn a_child_that_fails_does_not_fail_its_parent() {
    let mut run = Run::of(
        &[("sub", "subflow", json!({"subflowId": "w"})), ("end", "on_flow_end", json!({}))],
        &["sub.exec-out>end.exec-in", "sub.child_output>end.child"],
        json!({}),
    );
    let step = run.step(&[]);
    let Effect::StartChild { child, report: true, .. } = step.effects[0].clone() else {
        panic!("no child was started")
    };
    let end = ChildEnd { child, status: RunStatus::Cancelled, output: None, error: Some("why".to_owned()) };
    run.step(&[InboxMessage::ChildEnded(end)]);
    let child = json!({"success": false, "cancelled": true, "error": "why"});
    assert_eq!(run.state.status, RunStatus::Completed);
    assert!(run.state.children.is_empty());
    // A declared `child_output` pin hides the real one; the outputs of a failed child lack that key.
    assert_eq!(run.state.output, Some(json!({"child": null, "success": true})), "{child}");
}

#[test]
fn a_node_that_this_version_does_not_execute_is_named_in_the_error() {
    for kind in ["agent", "tool_calls", "code", "write_file", "memory_note", "generate_image"] {
        let mut run = Run::of(
            &[("x9", kind, json!({})), ("end", "on_flow_end", json!({}))],
            &["x9.exec-out>end.exec-in"],
            json!({}),
        );
        let step = run.step(&[]);
        let error = run.state.error.clone().unwrap();
        assert!(error.contains("'x9'") && error.contains(kind), "{error}");
        assert_eq!(step.records[0].idempotency_key.as_deref(), Some("system:tick_exception:run"));
        assert_eq!(step.records.len(), 1);
    }
}

#[test]
fn an_event_reaches_a_waiting_run_once() {
    let wait = json!({"pinDefaults": {"event_key": "evt:global:global:go"}});
    let mut run = Run::of(
        &[("one", "wait_event", wait.clone()), ("two", "wait_event", wait)],
        &["one.exec-out>two.exec-in"],
        json!({}),
    );
    run.step(&[]);
    let event = InboxMessage::Event(EventDelivery {
        wait_key: "evt:global:global:go".to_owned(),
        envelope: Envelope {
            event_id: Some("e1".to_owned()),
            name: "go".to_owned(),
            scope: "global".to_owned(),
            session_id: None,
            payload: Object::new(),
            emitted_at: None,
            emitter: Object::new(),
        },
    });
    run.step(&[event.clone(), event.clone()]);
    assert_eq!((run.state.status, run.state.current_node.as_str()), (RunStatus::Waiting, "two"));
}

#[test]
fn an_event_sent_from_outside_goes_to_one_key_and_never_to_the_wildcard() {
    let mut run = asking();
    run.step(&[]);
    let event = run.command(CommandKind::EmitEvent, json!({"name": "go", "payload": 7}));
    let step = run.step(&[event]);
    let Effect::DeliverEvent { wait_key, envelope, .. } = &step.effects[0] else { panic!("nothing is delivered") };
    assert_eq!(wait_key, "evt:session:run:go");
    assert_eq!(envelope.payload, json!({"value": 7}).as_object().cloned().unwrap());
    assert_eq!(Value::Object(envelope.emitter.clone()), json!({"source": "external", "client_id": null}));
    for payload in [json!({}), json!({"name": "x", "scope": "galaxy"}), json!({"name": "x", "scope": "workflow"})] {
        let event = run.command(CommandKind::EmitEvent, payload);
        let step = run.step(&[event]);
        assert!(matches!(step.outcomes[0].1, Verdict::Refused { .. }) && step.effects.is_empty());
    }
}

#[test]
fn an_emitted_event_offers_its_own_key_and_the_wildcard_of_its_scope() {
    let mut run = Run::of(
        &[
            ("emit", "emit_event", json!({"pinDefaults": {"name": "tick", "payload": {"n": 1}}})),
            ("end", "on_flow_end", json!({})),
        ],
        &["emit.exec-out>end.exec-in", "emit.delivered>end.count"],
        json!({}),
    );
    let step = run.step(&[]);
    let Effect::EmitEvent { wait_keys, envelope, .. } = &step.effects[0] else { panic!("nothing is emitted") };
    assert_eq!(wait_keys, &["evt:session:s:tick", "evt:session:s:*"]);
    assert_eq!(envelope.event_id.as_deref(), Some("run:emit:1"));
    assert_eq!(
        Value::Object(envelope.emitter.clone()),
        json!({"run_id": "run", "workflow_id": "w", "node_id": "emit"})
    );
    let done = run.done(Ok(json!({"delivered": 2})));
    run.step(&[done]);
    assert_eq!(run.state.output, Some(json!({"count": 2, "success": true})));
}

#[test]
fn a_tree_command_goes_on_to_every_child_also_when_the_run_itself_has_ended() {
    let mut run = Run::of(
        &[("sub", "subflow", json!({"subflowId": "w"})), ("end", "on_flow_end", json!({}))],
        &["sub.exec-out>end.exec-in"],
        json!({}),
    );
    run.step(&[]);
    let answer = run.command(CommandKind::Resume, json!({"payload": {"output": {}}}));
    run.step(&[answer]);
    assert_eq!((run.state.status, run.state.children.len()), (RunStatus::Completed, 1));
    let cancel = run.command(CommandKind::Cancel, json!({}));
    let step = run.step(&[cancel]);
    assert!(matches!(&step.effects[..], [Effect::ForwardCommand { seq: 2, .. }]));
    assert_eq!(run.state.status, RunStatus::Completed);
}

#[test]
fn a_failing_function_completes_the_run_with_its_error_or_returns_to_its_loop() {
    let failing = ("divide", "divide", json!({"pinDefaults": {"a": 1, "b": 0}}));
    let mut run =
        Run::of(&[failing.clone(), ("end", "on_flow_end", json!({}))], &["divide.exec-out>end.exec-in"], json!({}));
    run.step(&[]);
    let output = run.state.output.clone().unwrap();
    assert_eq!(
        (run.state.status, &output["success"], &output["node"]),
        (RunStatus::Completed, &json!(false), &json!("divide"))
    );
    let mut run = Run::of(
        &[("each", "loop", json!({"pinDefaults": {"items": [1, 2]}})), failing, ("end", "on_flow_end", json!({}))],
        &["each.loop>divide.exec-in", "each.done>end.exec-in", "each.index>end.last"],
        json!({}),
    );
    run.step(&[]);
    assert_eq!(run.state.output, Some(json!({"last": 1, "success": true})));
    assert_eq!(run.state.vars["_flow_error_node"], "divide");
}
