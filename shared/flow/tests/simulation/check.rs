//! The laws, checked on what a world has stored.

use crate::world::{Sim, Stored};
use domain::{RunId, RunStatus, StepRecord, StepStatus, WaitReason};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn kind(record: &StepRecord) -> &str {
    record.effect.as_ref().map_or("", |effect| effect.kind.as_str())
}

fn is_terminal(record: &StepRecord) -> bool {
    let key = record.idempotency_key.as_deref().unwrap_or_default();
    key.starts_with("system:terminal_status:") || key.starts_with("system:tick_exception:")
}

fn check_ledger(run: &RunId, stored: &Stored) {
    let ledger = &stored.ledger;
    let ends = ledger.iter().filter(|record| is_terminal(record)).count();
    assert!(ends <= 1, "law 2: {run} ended {ends} times");
    assert!(ends == 0 || is_terminal(ledger.last().unwrap()), "law 2: {run} went on after its end");
    let (mut open, mut closed, mut done) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut waits, mut answers, mut events) = (0, 0, BTreeSet::new());
    for record in ledger.iter().filter(|record| record.effect.is_some() && !is_terminal(record)) {
        if kind(record) == "resume" {
            answers += 1;
            let payload = &record.effect.as_ref().unwrap().payload["payload"];
            if let Some(id) = payload.get("event_id").and_then(Value::as_str) {
                assert!(events.insert(id.to_owned()), "law 7: {run} took {id} twice");
            }
            continue;
        }
        let step = (record.step_id.clone(), record.attempt);
        match record.status {
            StepStatus::Started => assert!(open.insert(step), "law 3: {run}"),
            StepStatus::Completed | StepStatus::Failed | StepStatus::Waiting => {
                assert!(open.contains(&step) && closed.insert(step), "law 3: {run}");
            }
        }
        if record.status == StepStatus::Completed {
            assert!(done.insert(record.idempotency_key.clone()), "law 4: {run}");
        }
        if record.status == StepStatus::Waiting {
            waits += 1;
        }
    }
    assert!(answers <= waits, "law 5: {run} has {answers} answers to {waits} waits");
}

pub(crate) fn check_cancelled(runs: &BTreeMap<RunId, Stored>) {
    let states = || runs.values().filter_map(|stored| stored.state.as_ref());
    for root in states().filter(|state| state.status == RunStatus::Cancelled) {
        let alive =
            states().find(|state| state.parent_run_id.as_ref() == Some(&root.run_id) && !state.status.is_terminal());
        assert!(alive.is_none(), "law 10: {:?} outlives {}", alive.map(|state| &state.run_id), root.run_id);
    }
}

pub(crate) fn check(sim: &Sim<'_>, seed: u64) {
    let mut children = 0;
    for (run, stored) in &sim.runs {
        check_ledger(run, stored);
        let state = stored.state.as_ref().expect("every run has taken its first step");
        let listens = state.workflow_id.as_str().starts_with("visual_event_listener_");
        let rests = state.waiting.as_ref().is_some_and(|wait| wait.reason == WaitReason::Event);
        let over = state.status.is_terminal() || (listens && rests && state.status == RunStatus::Waiting);
        assert!(
            over,
            "law 8, seed {seed}: {run} rests at {} {:?} {:?}",
            state.current_node, state.status, state.waiting
        );
        children += stored
            .ledger
            .iter()
            .filter(|record| kind(record) == "start_subworkflow" && record.status == StepStatus::Waiting)
            .count();
    }
    let started =
        sim.runs.values().filter(|stored| stored.state.as_ref().unwrap().workflow_id.as_str() == "child").count();
    assert_eq!(children, started, "law 5, seed {seed}: children waited for and children started");
    for (seq, run) in &sim.sent {
        let outcomes = sim.runs[run].outcomes.get(seq).copied().unwrap_or_default();
        assert_eq!(outcomes, 1, "law 6, seed {seed}: command {seq} of {run}");
    }
}
