//! One run, stepped by hand.

use crate::sketch::{compiled, sketch};
use domain::{Command, CommandKind, InboxMessage, Source, StartRun, StepStatus, Time};
use flow::{Effect, Flow, Library, State, Step, World};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::sync::Arc;

/// One run, stepped by hand.
pub(crate) struct Run {
    pub(crate) library: Library,
    pub(crate) flow: Arc<Flow>,
    pub(crate) state: State,
    pub(crate) now: Time,
    pub(crate) seq: u64,
}

impl Run {
    pub(crate) fn of(nodes: &[(&str, &str, Value)], edges: &[&str], vars: Value) -> Self {
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
        Self { library, flow, state, now, seq: 0 }
    }

    pub(crate) fn try_step(&self, inputs: &[InboxMessage]) -> Step {
        let world = World { flow: &self.flow, flows: &self.library, now: self.now, zone: &TimeZone::UTC };
        flow::step(world, self.state.clone(), inputs)
    }

    pub(crate) fn step(&mut self, inputs: &[InboxMessage]) -> Step {
        let mut step = self.try_step(inputs);
        self.state = step.state.clone();
        step.effects.retain(|effect| !matches!(effect, Effect::CancelTimer { .. }));
        step
    }

    pub(crate) fn command(&mut self, kind: CommandKind, payload: Value) -> InboxMessage {
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
        InboxMessage::Command { seq: self.seq, command: Box::new(command) }
    }

    pub(crate) fn done(&self, outcome: Result<Value, String>) -> InboxMessage {
        let pending = self.state.pending.as_ref().unwrap();
        InboxMessage::EffectDone { key: pending.key.clone(), attempt: pending.attempt, outcome }
    }
}

pub(crate) fn asking() -> Run {
    Run::of(
        &[("ask", "ask_user", json!({})), ("end", "on_flow_end", json!({}))],
        &["ask.exec-out>end.exec-in", "ask.response>end.answer"],
        json!({}),
    )
}

pub(crate) fn modelling() -> Run {
    Run::of(
        &[("llm", "llm_call", json!({"pinDefaults": {"prompt": "hi"}})), ("end", "on_flow_end", json!({}))],
        &["llm.exec-out>end.exec-in", "llm.response>end.text"],
        json!({}),
    )
}

pub(crate) fn delaying() -> Run {
    Run::of(
        &[("wait", "wait_until", json!({"pinDefaults": {"duration": 5}})), ("end", "on_flow_end", json!({}))],
        &["wait.exec-out>end.exec-in"],
        json!({}),
    )
}

pub(crate) fn statuses(step: &Step) -> Vec<(StepStatus, Option<String>)> {
    let kind = |record: &domain::StepRecord| record.effect.as_ref().map(|effect| effect.kind.clone());
    step.records.iter().map(|record| (record.status, kind(record))).collect()
}
