//! One step under way: the run, what it has written so far and what it owes the world.

use super::vars::{object_at, peek, weight};
use crate::compile::{Flow, Node, Workflows};
use crate::py::Exception;
use crate::{Effect, State};
use domain::{EffectRecord, StepId, StepRecord, StepStatus, Time, uuid_from};
use jiff::tz::TimeZone;
use serde_json::Value;

/// What surrounds a step.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The compiled flow of the run.
    pub flow: &'a Flow,
    /// Which other workflows exist.
    pub flows: &'a dyn Workflows,
    /// The moment of the step.
    pub now: Time,
    /// The zone of local times that flows and prompts show.
    pub zone: &'a TimeZone,
}

pub(super) struct Machine<'a> {
    pub(super) world: World<'a>,
    pub(super) state: State,
    pub(super) records: Vec<StepRecord>,
    pub(super) effects: Vec<Effect>,
    /// Bytes written in this step, roughly.
    pub(super) spent: usize,
    /// The run as the step found it, in short.
    pub(super) before: Mark,
}

/// What changes with anything that a step can do to a run beside writing records.
pub(super) type Mark = (u64, u64, usize, usize, bool, bool, Option<String>);

/// The parts of a record that differ from case to case.
pub(super) struct Draft {
    pub(super) step_id: String,
    pub(super) node_id: String,
    pub(super) status: StepStatus,
    pub(super) effect: Option<EffectRecord>,
    pub(super) result: Option<Value>,
    pub(super) error: Option<String>,
    pub(super) started_at: Time,
    pub(super) attempt: u32,
    pub(super) key: Option<String>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(world: World<'a>, state: State) -> Self {
        let mut machine =
            Self { world, state, records: Vec::new(), effects: Vec::new(), spent: 0, before: Mark::default() };
        machine.before = machine.mark();
        machine
    }

    pub(super) fn mark(&self) -> Mark {
        let (state, control) = (&self.state, &self.state.control);
        let timer = state.timer.clone();
        (
            state.last_command,
            state.last_forwarded,
            control.held.len(),
            state.children.len(),
            state.begun,
            control.paused,
            timer,
        )
    }

    pub(super) fn node(&self, place: usize) -> &'a Node {
        &self.world.flow.nodes[place]
    }

    /// A fresh id that the same step gives again when it is repeated.
    pub(super) fn next_id(&mut self, purpose: &str) -> String {
        self.state.id_seq += 1;
        uuid_from(&[self.state.run_id.as_str().as_bytes(), purpose.as_bytes(), &self.state.id_seq.to_le_bytes()])
    }

    /// A record of the current node that is complete in itself.
    pub(super) fn draft(&mut self, status: StepStatus) -> Draft {
        Draft {
            step_id: self.next_id("step"),
            node_id: self.state.current_node.clone(),
            status,
            effect: None,
            result: None,
            error: None,
            started_at: self.world.now,
            attempt: 1,
            key: None,
        }
    }

    pub(super) fn write(&mut self, draft: Draft) {
        let closed = draft.status != StepStatus::Started;
        self.spent += 400
            + draft.effect.as_ref().map_or(0, |effect| super::vars::weight_of(&effect.payload))
            + draft.result.as_ref().map_or(0, weight);
        self.state.cursor += 1;
        self.records.push(StepRecord {
            run_id: self.state.run_id.clone(),
            step_id: StepId::new(draft.step_id),
            node_id: draft.node_id,
            status: draft.status,
            effect: draft.effect,
            result: draft.result,
            error: draft.error,
            started_at: draft.started_at,
            ended_at: closed.then_some(self.world.now),
            actor_id: Some(self.state.actor_id.clone()),
            session_id: Some(self.state.session_id.clone()),
            attempt: draft.attempt,
            idempotency_key: draft.key,
            prev_hash: None,
            record_hash: None,
            signature: None,
        });
    }

    /// Keeps a node's output; later readers find it there, also after a restart.
    pub(super) fn store(&mut self, node: &str, output: Value) -> Result<(), Exception> {
        crate::py::fits(&output)?;
        self.spent += weight(&output);
        object_at(&mut self.state.vars, &["_temp", "node_outputs"]).insert(node.to_owned(), output);
        Ok(())
    }

    pub(super) fn last_output(&self) -> Option<&Value> {
        self.state.vars.get("_last_output")
    }

    pub(super) fn set_last_output(&mut self, output: Value) {
        self.spent += weight(&output);
        self.state.vars.insert("_last_output".to_owned(), output);
    }

    /// The control node on top of the stack.
    pub(super) fn active(&self) -> Option<&str> {
        peek(&self.state.vars, &["_temp", "_control", "stack"])?.as_array()?.last()?.as_str()
    }
}
