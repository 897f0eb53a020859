//! The interpreter: takes what arrived, executes nodes until the run rests, and says what is owed.
//!
//! One step is atomic for its caller: state and records are stored together, and effects are performed afterwards. A
//! step that is repeated with the same arguments gives the same bytes, ids included.

mod children;
mod commands;
mod control;
mod effects;
mod events;
mod finish;
mod functions;
mod llm;
mod machine;
mod messages;
mod outputs;
mod plan;
mod pull;
mod resume;
mod timing;
mod vars;

pub use children::listener_run_id;
pub use events::external_event;
pub use machine::World;

use crate::compile::{Flow, Node};
use crate::py::{Exception, Raise};
use crate::{Effect, State};
use domain::limits::NODES_PER_STEP;
use domain::{InboxMessage, Object, RunStatus, StartRun, StepRecord, Time, Verdict};
use machine::Machine;
use serde_json::Value;

/// Records of one step, after which it commits and goes on in the next.
const RECORDS_PER_STEP: usize = 512;
/// Bytes written in one step, roughly, after which it commits and goes on in the next.
const BYTES_PER_STEP: usize = 1024 * 1024;
/// Bytes of a run's variables. A run that needs more ends as failed.
const VARS_BYTES: usize = 32 * 1024 * 1024;
/// How often an effect is attempted when whoever performs it disappears.
pub const ATTEMPTS: u32 = 3;

/// What a step has made of a run.
#[derive(Debug)]
pub struct Step {
    /// The run after the step.
    pub state: State,
    /// What clients read, in order; stored together with the state.
    pub records: Vec<StepRecord>,
    /// What is owed once both are stored, in order.
    pub effects: Vec<Effect>,
    /// What became of the commands among the inputs, by position. A command that was taken in before has no entry,
    /// nor has one that names another run and was passed on.
    pub outcomes: Vec<(usize, Verdict)>,
    /// Whether the step did anything at all: inputs that were taken in before leave the run as it was.
    pub changed: bool,
}

/// A run that has been accepted and has not taken a step. `entry` is [`Flow::entry`]; a run whose flow cannot be had
/// is given an empty one and then ended with [`fail`].
pub fn start(request: &StartRun, entry: &str) -> State {
    let depth = request.vars.get("_runtime").and_then(|runtime| runtime.get("depth")).and_then(Value::as_u64);
    State {
        run_id: request.run_id.clone(),
        workflow_id: request.workflow_id.clone(),
        source: request.source.clone(),
        status: RunStatus::Running,
        current_node: entry.to_owned(),
        vars: given(&request.vars),
        waiting: None,
        output: None,
        error: None,
        created_at: request.created_at,
        updated_at: request.created_at,
        actor_id: request.actor_id.clone(),
        session_id: request.session_id.clone(),
        parent_run_id: request.parent_run_id.clone(),
        report_to_parent: request.report_to_parent,
        request_digest: request.request_digest.clone(),
        control: crate::Control::default(),
        pending: None,
        timer: None,
        children: Vec::new(),
        cursor: 0,
        last_command: 0,
        last_forwarded: 0,
        effect_seq: 0,
        id_seq: 0,
        node_seq: 0,
        depth: depth.map_or(0, |depth| u32::try_from(depth).unwrap_or(u32::MAX)),
        begun: false,
        seen: Vec::new(),
        counts: std::collections::BTreeMap::new(),
    }
}

/// The variables that a run begins with. Its working space is its own to make.
fn given(vars: &Object) -> Object {
    let own = ["_temp", "_last_output", "_flow_error", "_flow_error_node", "_flow_warnings"];
    vars.iter()
        .filter(|(key, _)| !own.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Takes every input in order, then executes nodes until the run waits, leaves an effect to the driver, ends, or has
/// used what one step may use; the last owes [`Effect::Continue`].
pub fn step(world: World<'_>, state: State, inputs: &[InboxMessage]) -> Step {
    let mut machine = Machine::new(world, state);
    let mut outcomes = Vec::new();
    machine.begin();
    for (place, message) in inputs.iter().enumerate() {
        if let Some(verdict) = machine.take(message) {
            outcomes.push((place, verdict));
        }
    }
    machine.advance();
    machine.finish(outcomes)
}

/// Whoever performed a pending effect is gone: announces the next attempt under the same key, or, after [`ATTEMPTS`],
/// ends the run as failed. A key or attempt that is not the pending one changes nothing.
pub fn attempt_lost(world: World<'_>, state: State, key: &str, attempt: u32) -> Step {
    let mut machine = Machine::new(world, state);
    let due = |pending: &mut crate::Pending| pending.key == key && pending.attempt == attempt;
    if let Some(mut pending) = machine.state.pending.take_if(due) {
        let error = "whoever performed this attempt was lost before it reported".to_owned();
        if attempt >= ATTEMPTS {
            machine.effect_failed(&pending, error);
        } else {
            machine.attempt_failed(&pending, error);
            pending.attempt += 1;
            pending.step_id = machine.next_id("step");
            pending.started_at = world.now;
            machine.announce(&pending);
            let effect = machine.slow(&pending);
            machine.effects.push(effect);
            machine.state.pending = Some(pending);
        }
    }
    machine.finish(Vec::new())
}

/// Ends a run as failed, for a reason outside its flow: a step that keeps crashing, a flow that cannot be had. A run
/// that has ended stays as it is.
pub fn fail(state: State, error: &str, now: Time) -> Step {
    let flow = Flow::empty(&state.workflow_id);
    let world = World { flow: &flow, flows: &crate::compile::Library::default(), now, zone: &jiff::tz::TimeZone::UTC };
    let mut machine = Machine::new(world, state);
    if !machine.state.status.is_terminal() {
        machine.crashed(error.to_owned());
    }
    machine.finish(Vec::new())
}

impl Machine<'_> {
    fn take(&mut self, message: &InboxMessage) -> Option<Verdict> {
        if self.hold(message) {
            return None;
        }
        match message {
            InboxMessage::Start(_) | InboxMessage::Continue => {}
            InboxMessage::Command { seq, command } => return self.command(*seq, command),
            InboxMessage::EffectDone { key, attempt, outcome } => self.effect_done(key, *attempt, outcome),
            InboxMessage::TimerFired { timer } => self.timer_fired(timer),
            InboxMessage::ChildEnded(end) => self.child_ended(end),
            InboxMessage::Event(delivery) => self.take_event(delivery),
        }
        None
    }

    fn advance(&mut self) {
        let mut nodes = 0;
        while self.state.status == RunStatus::Running && self.state.pending.is_none() {
            let full = self.records.len() >= RECORDS_PER_STEP || self.spent >= BYTES_PER_STEP;
            if nodes >= NODES_PER_STEP || full {
                self.effects.push(Effect::Continue);
                break;
            }
            nodes += 1;
            if let Err(exception) = self.execute() {
                self.crashed(exception.report());
            }
        }
        if self.spent > 0 && !self.state.status.is_terminal() && vars::weight_of(&self.state.vars) > VARS_BYTES {
            self.effects.retain(|effect| !matches!(effect, Effect::Continue | Effect::StartChild { .. }));
            self.crashed(format!("MemoryError: the run's variables take more than {VARS_BYTES} bytes"));
        }
    }

    fn finish(mut self, outcomes: Vec<(usize, Verdict)>) -> Step {
        let written = !self.records.is_empty() || !self.effects.is_empty() || !outcomes.is_empty();
        let changed = written || self.mark() != self.before;
        if changed {
            self.state.updated_at = self.world.now;
        }
        Step { state: self.state, records: self.records, effects: self.effects, outcomes, changed }
    }
}

/// What a node says whose type this version does not execute.
fn unsupported(node: &Node) -> Exception {
    let reason =
        format!("node '{}' has the type '{}', which this version does not execute yet", node.id, node.type_name);
    Exception::new(Raise::NotImplementedError, reason)
}
