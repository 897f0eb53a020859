//! What must hold of every step, one sentence each.

use crate::sketch::{compiled, sketch};
use domain::{
    ChildEnd, Command, CommandKind, Envelope, EventDelivery, InboxMessage, Object, RunStatus, Source, StartRun,
    StepStatus, Time, Verdict, WaitReason,
};
use flow::{ATTEMPTS, Effect, Flow, Library, State, Step, World};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::sync::Arc;

/// One run, stepped by hand.
struct Run {
    library: Library,
    flow: Arc<Flow>,
    state: State,
    now: Time,
    seq: u64,
}

impl Run {
    fn of(nodes: &[(&str, &str, Value)], edges: &[&str], vars: Value) -> Self {
        let (library, flow) = compiled(&sketch(nodes, edges));
        let now: Time = "2026-01-01T00:00:00".parse().unwrap();
        let request = StartRun {
            run_id: "run".into(),
            workflow_id: "w".into(),
            source: Source::Bundle { sha256: String::new() },
            vars: vars.as_object().cloned().unwrap_or_default(),
            session_id: "s".into(),
            actor_id: "gateway".to_owned(),
            parent_run_id: Some("parent".into()),
            report_to_parent: true,
            created_at: now,
            request_digest: None,
        };
        let state = flow::start(&request, flow.entry());
        Self {
            library,
            flow,
            state,
            now,
            seq: 0,
        }
    }

    fn try_step(&self, inputs: &[InboxMessage]) -> Step {
        let world = World {
            flow: &self.flow,
            flows: &self.library,
            now: self.now,
            zone: &TimeZone::UTC,
        };
        flow::step(world, self.state.clone(), inputs)
    }

    fn step(&mut self, inputs: &[InboxMessage]) -> Step {
        let mut step = self.try_step(inputs);
        self.state = step.state.clone();
        step.effects
            .retain(|effect| !matches!(effect, Effect::CancelTimer { .. }));
        step
    }

    fn command(&mut self, kind: CommandKind, payload: Value) -> InboxMessage {
        self.seq += 1;
        let command = Command {
            command_id: "c".into(),
            run_id: "run".into(),
            kind,
            payload: payload.as_object().cloned().unwrap_or_default(),
            ts: None,
            client_id: None,
            accepted_at: self.now,
        };
        InboxMessage::Command {
            seq: self.seq,
            command: Box::new(command),
        }
    }

    fn done(&self, outcome: Result<Value, String>) -> InboxMessage {
        let pending = self.state.pending.as_ref().unwrap();
        InboxMessage::EffectDone {
            key: pending.key.clone(),
            attempt: pending.attempt,
            outcome,
        }
    }
}

fn asking() -> Run {
    Run::of(
        &[("ask", "ask_user", json!({})), ("end", "on_flow_end", json!({}))],
        &["ask.exec-out>end.exec-in", "ask.response>end.answer"],
        json!({}),
    )
}

fn modelling() -> Run {
    Run::of(
        &[
            ("llm", "llm_call", json!({"pinDefaults": {"prompt": "hi"}})),
            ("end", "on_flow_end", json!({})),
        ],
        &["llm.exec-out>end.exec-in", "llm.response>end.text"],
        json!({}),
    )
}

fn delaying() -> Run {
    Run::of(
        &[
            ("wait", "wait_until", json!({"pinDefaults": {"duration": 5}})),
            ("end", "on_flow_end", json!({})),
        ],
        &["wait.exec-out>end.exec-in"],
        json!({}),
    )
}

fn statuses(step: &Step) -> Vec<(StepStatus, Option<String>)> {
    let kind = |record: &domain::StepRecord| record.effect.as_ref().map(|effect| effect.kind.clone());
    step.records
        .iter()
        .map(|record| (record.status, kind(record)))
        .collect()
}

#[test]
fn a_step_that_is_repeated_gives_the_same_bytes() {
    let run = asking();
    let bytes = |step: Step| serde_json::to_string(&(step.state, step.records, step.effects)).unwrap();
    assert_eq!(bytes(run.try_step(&[])), bytes(run.try_step(&[])));
}

#[test]
fn a_step_without_news_changes_nothing() {
    let mut run = asking();
    assert!(run.step(&[]).changed);
    let before = run.state.clone();
    run.now = run.now.plus_micros(1);
    assert!(!run.step(&[InboxMessage::Continue]).changed);
    assert_eq!(run.state, before);
}

#[test]
fn a_command_is_applied_once_however_often_it_comes() {
    let mut run = asking();
    run.step(&[]);
    let answer = run.command(CommandKind::Resume, json!({"payload": {"response": "yes"}}));
    let step = run.step(&[answer.clone(), answer.clone()]);
    assert_eq!(step.outcomes, vec![(0, Verdict::Applied { note: None })]);
    assert_eq!(run.state.output, Some(json!({"answer": "yes", "success": true})));
    let again = run.step(&[answer]);
    assert!(again.records.is_empty() && again.outcomes.is_empty() && !again.changed);
}

#[test]
fn an_answer_under_another_key_is_refused_and_leaves_the_wait() {
    let mut run = asking();
    run.step(&[]);
    let wrong = run.command(
        CommandKind::Resume,
        json!({"payload": {"response": "x"}, "wait_key": "user:other"}),
    );
    let step = run.step(&[wrong]);
    assert!(matches!(&step.outcomes[0].1, Verdict::Refused { reason } if reason.contains("user:other")));
    assert_eq!(run.state.status, RunStatus::Waiting);
}

#[test]
fn a_cancelled_run_takes_no_late_result() {
    let mut run = modelling();
    run.step(&[]);
    let late = run.done(Ok(json!({"content": "late"})));
    let cancel = run.command(CommandKind::Cancel, json!({"reason": "enough"}));
    let step = run.step(&[cancel]);
    assert_eq!(
        statuses(&step),
        vec![(StepStatus::Completed, Some("emit_event".to_owned()))]
    );
    assert!(matches!(&step.effects[0], Effect::ReportEnd { end, .. } if end.status == RunStatus::Cancelled));
    assert_eq!(run.state.error.as_deref(), Some("enough"));
    assert!(run.step(&[late]).records.is_empty());
}

#[test]
fn a_result_that_comes_while_paused_waits_for_the_resume() {
    let mut run = modelling();
    run.step(&[]);
    let pause = run.command(CommandKind::Pause, json!({"reason": "hold"}));
    run.step(&[pause]);
    let wait = run.state.waiting.clone().unwrap();
    assert_eq!(
        (wait.reason, wait.wait_key.as_deref()),
        (WaitReason::User, Some("pause:run"))
    );
    let done = run.done(Ok(json!({"content": "pong"})));
    assert!(run.step(&[done.clone(), done]).records.is_empty());
    assert!(run.state.pending.is_none() && run.state.control.held.len() == 1);
    let resume = run.command(CommandKind::Resume, json!({}));
    let step = run.step(&[resume]);
    assert_eq!(statuses(&step)[0], (StepStatus::Completed, Some("llm_call".to_owned())));
    assert_eq!(run.state.output, Some(json!({"text": "pong", "success": true})));
}

#[test]
fn a_run_that_waits_for_a_person_is_not_paused() {
    let mut run = asking();
    run.step(&[]);
    let pause = run.command(CommandKind::Pause, json!({}));
    let step = run.step(&[pause]);
    assert!(matches!(step.outcomes[0].1, Verdict::Applied { note: Some(_) }));
    assert!(!run.state.control.paused);
}

#[test]
fn only_the_armed_timer_ends_a_delay() {
    let mut run = delaying();
    let step = run.step(&[]);
    let Effect::ArmTimer { timer, at } = step.effects[0].clone() else {
        panic!("no timer was armed")
    };
    assert_eq!(at, run.now.plus_micros(5_000_000));
    run.step(&[InboxMessage::TimerFired {
        timer: "another".to_owned(),
    }]);
    assert_eq!(run.state.status, RunStatus::Waiting);
    run.now = at;
    let step = run.step(&[InboxMessage::TimerFired { timer: timer.clone() }]);
    assert_eq!(
        step.records[0].effect, None,
        "a delay that is over leaves no record of its own"
    );
    assert_eq!(run.state.status, RunStatus::Completed);
    assert!(run.step(&[InboxMessage::TimerFired { timer }]).records.is_empty());
}

#[test]
fn an_answered_delay_cancels_its_timer() {
    let mut run = delaying();
    run.step(&[]);
    let answer = run.command(CommandKind::Resume, json!({"payload": {}}));
    let step = run.try_step(&[answer]);
    assert!(
        step.effects
            .iter()
            .any(|effect| matches!(effect, Effect::CancelTimer { .. }))
    );
    assert_eq!(step.state.timer, None);
}

#[test]
fn a_failed_effect_fails_the_run_with_its_own_words() {
    let mut run = modelling();
    run.step(&[]);
    let done = run.done(Err("no route".to_owned()));
    let step = run.step(&[done]);
    let expected = vec![
        (StepStatus::Failed, Some("llm_call".to_owned())),
        (StepStatus::Completed, Some("emit_event".to_owned())),
    ];
    assert_eq!(statuses(&step), expected);
    assert_eq!(run.state.error.as_deref(), Some("no route"));
}

#[test]
fn a_lost_attempt_is_announced_again_under_the_same_key_and_at_last_fails() {
    let mut run = modelling();
    let first = run.step(&[]);
    let Effect::CallModel { key, .. } = first.effects[0].clone() else {
        panic!("no model was called")
    };
    for attempt in 1..ATTEMPTS {
        let world = World {
            flow: &run.flow,
            flows: &run.library,
            now: run.now,
            zone: &TimeZone::UTC,
        };
        let step = flow::attempt_lost(world, run.state.clone(), &key, attempt);
        let last = step.records.last().unwrap();
        assert_eq!((last.status, last.attempt), (StepStatus::Started, attempt + 1));
        assert_eq!(last.idempotency_key.as_deref(), Some(key.as_str()));
        assert!(matches!(&step.effects[0], Effect::CallModel { attempt: next, .. } if *next == attempt + 1));
        run.state = step.state;
    }
    let old = InboxMessage::EffectDone {
        key: key.clone(),
        attempt: 1,
        outcome: Ok(json!({"content": "old"})),
    };
    assert!(
        run.step(&[old]).records.is_empty(),
        "the result of an older attempt is refused"
    );
    let world = World {
        flow: &run.flow,
        flows: &run.library,
        now: run.now,
        zone: &TimeZone::UTC,
    };
    let step = flow::attempt_lost(world, run.state.clone(), &key, ATTEMPTS);
    assert_eq!(step.state.status, RunStatus::Failed);
    assert!(
        step.state
            .error
            .unwrap()
            .starts_with("Effect failed after 3 attempts: ")
    );
}

#[test]
fn a_subflow_that_does_not_exist_fails_the_run() {
    let mut run = Run::of(
        &[
            ("sub", "subflow", json!({"subflowId": "nowhere"})),
            ("end", "on_flow_end", json!({})),
        ],
        &["sub.exec-out>end.exec-in"],
        json!({}),
    );
    run.step(&[]);
    assert_eq!(
        run.state.error.as_deref(),
        Some("Workflow 'nowhere' not found in registry")
    );
}

#[test]
fn a_child_that_fails_does_not_fail_its_parent() {
    let mut run = Run::of(
        &[
            ("sub", "subflow", json!({"subflowId": "w"})),
            ("end", "on_flow_end", json!({})),
        ],
        &["sub.exec-out>end.exec-in", "sub.child_output>end.child"],
        json!({}),
    );
    let step = run.step(&[]);
    let Effect::StartChild {
        child, report: true, ..
    } = step.effects[0].clone()
    else {
        panic!("no child was started")
    };
    let end = ChildEnd {
        child,
        status: RunStatus::Cancelled,
        output: None,
        error: Some("why".to_owned()),
    };
    run.step(&[InboxMessage::ChildEnded(end)]);
    let child = json!({"success": false, "cancelled": true, "error": "why"});
    assert_eq!(run.state.status, RunStatus::Completed);
    assert!(run.state.children.is_empty());
    // A declared `child_output` pin hides the real one; the outputs of a failed child lack that key.
    assert_eq!(
        run.state.output,
        Some(json!({"child": null, "success": true})),
        "{child}"
    );
}

#[test]
fn a_node_that_this_version_does_not_execute_is_named_in_the_error() {
    for kind in [
        "agent",
        "tool_calls",
        "code",
        "write_file",
        "memory_note",
        "generate_image",
    ] {
        let mut run = Run::of(
            &[("x9", kind, json!({})), ("end", "on_flow_end", json!({}))],
            &["x9.exec-out>end.exec-in"],
            json!({}),
        );
        let step = run.step(&[]);
        let error = run.state.error.clone().unwrap();
        assert!(error.contains("'x9'") && error.contains(kind), "{error}");
        assert_eq!(
            step.records[0].idempotency_key.as_deref(),
            Some("system:tick_exception:run")
        );
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
    assert_eq!(
        (run.state.status, run.state.current_node.as_str()),
        (RunStatus::Waiting, "two")
    );
}

#[test]
fn a_run_that_is_ended_from_outside_says_why_and_stays_ended() {
    let run = asking();
    let step = flow::fail(run.state, "RunnerError: crashed 5 times", run.now);
    assert_eq!(step.records.len(), 1);
    assert_eq!(step.records[0].error.as_deref(), Some("RunnerError: crashed 5 times"));
    assert_eq!(step.state.status, RunStatus::Failed);
    assert!(flow::fail(step.state, "again", run.now).records.is_empty());
}

#[test]
fn an_event_sent_from_outside_goes_to_one_key_and_never_to_the_wildcard() {
    let mut run = asking();
    run.step(&[]);
    let event = run.command(CommandKind::EmitEvent, json!({"name": "go", "payload": 7}));
    let step = run.step(&[event]);
    let Effect::DeliverEvent { wait_key, envelope, .. } = &step.effects[0] else {
        panic!("nothing is delivered")
    };
    assert_eq!(wait_key, "evt:session:run:go");
    assert_eq!(envelope.payload, json!({"value": 7}).as_object().cloned().unwrap());
    assert_eq!(
        Value::Object(envelope.emitter.clone()),
        json!({"source": "external", "client_id": null})
    );
    for payload in [
        json!({}),
        json!({"name": "x", "scope": "galaxy"}),
        json!({"name": "x", "scope": "workflow"}),
    ] {
        let event = run.command(CommandKind::EmitEvent, payload);
        let step = run.step(&[event]);
        assert!(matches!(step.outcomes[0].1, Verdict::Refused { .. }) && step.effects.is_empty());
    }
}

#[test]
fn an_emitted_event_offers_its_own_key_and_the_wildcard_of_its_scope() {
    let mut run = Run::of(
        &[
            (
                "emit",
                "emit_event",
                json!({"pinDefaults": {"name": "tick", "payload": {"n": 1}}}),
            ),
            ("end", "on_flow_end", json!({})),
        ],
        &["emit.exec-out>end.exec-in", "emit.delivered>end.count"],
        json!({}),
    );
    let step = run.step(&[]);
    let Effect::EmitEvent {
        wait_keys, envelope, ..
    } = &step.effects[0]
    else {
        panic!("nothing is emitted")
    };
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
        &[
            ("sub", "subflow", json!({"subflowId": "w"})),
            ("end", "on_flow_end", json!({})),
        ],
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
    let mut run = Run::of(
        &[failing.clone(), ("end", "on_flow_end", json!({}))],
        &["divide.exec-out>end.exec-in"],
        json!({}),
    );
    run.step(&[]);
    let output = run.state.output.clone().unwrap();
    assert_eq!(
        (run.state.status, &output["success"], &output["node"]),
        (RunStatus::Completed, &json!(false), &json!("divide"))
    );
    let mut run = Run::of(
        &[
            ("each", "loop", json!({"pinDefaults": {"items": [1, 2]}})),
            failing,
            ("end", "on_flow_end", json!({})),
        ],
        &[
            "each.loop>divide.exec-in",
            "each.done>end.exec-in",
            "each.index>end.last",
        ],
        json!({}),
    );
    run.step(&[]);
    assert_eq!(run.state.output, Some(json!({"last": 1, "success": true})));
    assert_eq!(run.state.vars["_flow_error_node"], "divide");
}
