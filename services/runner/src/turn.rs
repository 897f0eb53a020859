//! One step: computed without doing anything, then stored.

use crate::clock::now;
use crate::drive::Base;
use crate::flows::Flows;
use crate::run::Runner;
use crate::{RunnerError, metrics};
use bus::Delivery;
use domain::{CommandId, CommandOutcome, InboxMessage, Time, WaitReason};
use flow::{Effect, State};
use ledger::{Append, Appended, Outcome};
use serde_json::value::{RawValue, to_raw_value};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An input with its place in the inbox; answers that this process made itself have none.
pub(crate) struct Input {
    pub(crate) sequence: Option<u64>,
    pub(crate) message: InboxMessage,
}

impl Input {
    pub(crate) fn parse(sequence: u64, body: &[u8]) -> Option<Self> {
        match serde_json::from_slice(body) {
            Ok(message) => Some(Self { sequence: Some(sequence), message }),
            Err(error) => {
                tracing::error!(%error, sequence, "an inbox message cannot be read and is skipped");
                None
            }
        }
    }

    pub(crate) fn answer(message: InboxMessage) -> Self {
        Self { sequence: None, message }
    }
}

/// Why a step is taken.
pub(crate) enum Step {
    /// Messages, in order.
    Inputs { inputs: Vec<Input>, may_take_over: bool },
    /// Whoever performed the pending effect is gone.
    TakeOver,
    /// This step cannot be taken: it has ended its runner too often, or fails each time.
    Poisoned { error: String, reached: u64, inputs: Vec<Input> },
}

impl Step {
    pub(crate) fn may_take_over(&self) -> bool {
        matches!(self, Self::Inputs { may_take_over: true, .. })
    }
}

/// A computed step, ready to be stored.
pub(crate) struct Computed {
    step: flow::Step,
    outcomes: Vec<Outcome>,
    cursor: u64,
}

impl Runner {
    /// Computes a step; none when nothing changes.
    pub(crate) fn step(
        &self,
        bell: &Delivery,
        flows: &Result<Flows, String>,
        base: &Base,
        step: Step,
    ) -> Result<Option<Computed>, RunnerError> {
        let state = base.state();
        let moment = now();
        let before = base.head().map_or(0, |head| head.inbox_cursor);
        let (computed, cursor, commands) = match step {
            Step::Inputs { inputs, .. } => {
                let cursor = inputs.iter().filter_map(|input| input.sequence).max().unwrap_or(before).max(before);
                let messages: Vec<InboxMessage> = inputs.into_iter().map(|input| input.message).collect();
                let computed = self.guarded(flows, state, moment, |world| flow::step(world, state.clone(), &messages));
                (computed, cursor, command_ids(&messages))
            }
            Step::TakeOver => {
                let Some(pending) = state.pending.clone() else { return Ok(None) };
                ::metrics::counter!(metrics::TAKEOVERS).increment(1);
                tracing::warn!(run_id = %bell.run, attempt = pending.attempt, "taking over an effect");
                let again = |world| flow::attempt_lost(world, state.clone(), &pending.key, pending.attempt);
                (self.guarded(flows, state, moment, again), before, Vec::new())
            }
            Step::Poisoned { error, reached, inputs } => {
                tracing::error!(run_id = %bell.run, error, "the run is ended");
                let messages: Vec<InboxMessage> = inputs.into_iter().map(|input| input.message).collect();
                let mut computed = flow::fail(state.clone(), &error, moment);
                computed.outcomes = refusals(&messages, &error);
                (computed, reached.max(before), command_ids(&messages))
            }
        };
        let outcomes = outcomes(&computed, &commands, moment);
        // A full batch of messages that change nothing is put behind the run all the same: the doorbell's own message
        // lies behind it.
        let moves = cursor > before && cursor < bell.sequence;
        if base.head().is_some() && !moves && is_idle(&computed, &outcomes, state) {
            return Ok(None);
        }
        Ok(Some(Computed { step: computed, outcomes, cursor }))
    }

    /// Runs the interpreter so that even its own fault ends only this run, with the reason in its ledger.
    fn guarded<'w>(
        &'w self,
        flows: &'w Result<Flows, String>,
        state: &'w State,
        moment: Time,
        compute: impl FnOnce(flow::World<'w>) -> flow::Step,
    ) -> flow::Step {
        let found = flows.as_ref().map_err(Clone::clone).and_then(|flows| {
            let missing = || format!("its bundle has no workflow '{}'", state.workflow_id);
            flows.library.get(&state.workflow_id).map(|flow| (flow, flows)).ok_or_else(missing)
        });
        let (flow, flows) = match found {
            Ok(found) => found,
            Err(error) => return flow::fail(state.clone(), &format!("WorkflowNotFound: {error}"), moment),
        };
        let world = flow::World { flow, flows, now: moment, zone: &self.zone };
        catch_unwind(AssertUnwindSafe(|| compute(world))).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!(run_id = %state.run_id, panic = text, "the interpreter panicked; the run is ended");
            flow::fail(state.clone(), &format!("InternalError: the interpreter panicked: {text}"), moment)
        })
    }

    /// Stores a step. What others must find before the ledger shows the step is written first.
    pub(crate) async fn commit(
        &self,
        bell: &Delivery,
        base: &Base,
        computed: Computed,
    ) -> Result<Appended, RunnerError> {
        let Computed { mut step, outcomes, cursor } = computed;
        Box::pin(self.register_wait(bell, base, &step.state)).await?;
        let records = self.records(&mut step).await?;
        let slow =
            step.effects.iter().any(|effect| matches!(effect, Effect::CallModel { .. } | Effect::CallTools { .. }));
        let (count, before) = (step.records.len(), base.state().cursor);
        let ledger = self.ledger(&bell.plane);
        let append = Append {
            previous: base.head(),
            records: &records,
            state: step.state,
            effects: step.effects,
            outcomes,
            inbox_cursor: cursor,
            doorbell: if slow { bell.sequence } else { base.head().map_or(0, |head| head.doorbell) },
            delivery: if slow { bell.delivery() } else { base.head().map_or(0, |head| head.delivery) },
            writer: self.next_writer(),
            trace: &bell.trace,
        };
        let appended = Box::pin(ledger.append(append)).await?;
        if let Appended::Stored(head) = &appended {
            ::metrics::counter!(metrics::STEPS).increment(1);
            ::metrics::counter!(metrics::RECORDS).increment(count as u64);
            if let Some(key) =
                base.head().and_then(|old| event_key(&old.state)).filter(|_| head.state.status.is_terminal())
            {
                Box::pin(crate::effects::forget_wait(self, bell, key)).await;
            }
            if count > 0 {
                self.tap(bell, &head.state, before, &records).await;
            }
        }
        Ok(appended)
    }

    /// An event wait is in the index before anybody can know of it, so no event that follows the knowledge is lost.
    async fn register_wait(&self, bell: &Delivery, base: &Base, state: &State) -> Result<(), RunnerError> {
        let Some(key) = event_key(state) else { return Ok(()) };
        if base.head().is_some_and(|head| event_key(&head.state) == Some(key)) {
            return Ok(());
        }
        Ok(self.bus.waits(&bell.plane).register(key, &bell.run).await?)
    }

    /// The records as stored. Values too large for a record are put into the blob store first.
    async fn records(&self, step: &mut flow::Step) -> Result<Box<RawValue>, RunnerError> {
        let unreadable = |error: serde_json::Error| ledger::LedgerError::Unreadable {
            run: step.state.run_id.to_string(),
            cause: error.to_string(),
        };
        let raw = to_raw_value(&step.records).map_err(unreadable)?;
        if raw.get().len() <= domain::limits::INLINE_BYTES {
            return Ok(raw);
        }
        let run = step.state.run_id.clone();
        for record in &mut step.records {
            if let Some(result) = &mut record.result {
                Box::pin(self.values.offload(&run, result)).await?;
            }
            if let Some(effect) = &mut record.effect {
                let mut payload = serde_json::Value::Object(std::mem::take(&mut effect.payload));
                Box::pin(self.values.offload(&run, &mut payload)).await?;
                if let serde_json::Value::Object(payload) = payload {
                    effect.payload = payload;
                }
            }
        }
        Ok(to_raw_value(&step.records)
            .map_err(|error| ledger::LedgerError::Unreadable { run: run.to_string(), cause: error.to_string() })?)
    }

    /// Plain subscribers hear of records once they are stored.
    async fn tap(&self, bell: &Delivery, state: &State, before: u64, records: &RawValue) {
        let body = format!(
            r#"{{"run_id":{},"workflow_id":{},"status":"{}","after":{before},"records":{}}}"#,
            serde_json::Value::from(state.run_id.as_str()),
            serde_json::Value::from(state.workflow_id.as_str()),
            state.status.as_str(),
            records.get(),
        );
        self.bus.tap().publish(&bell.plane, &bell.run, body.into()).await;
    }
}

pub(crate) fn event_key(state: &State) -> Option<&str> {
    let wait = state.waiting.as_ref().filter(|wait| wait.reason == WaitReason::Event)?;
    wait.wait_key.as_deref()
}

/// What the commands hear whose step could not be taken.
fn refusals(messages: &[InboxMessage], error: &str) -> Vec<(usize, domain::Verdict)> {
    let own = |message: &InboxMessage| matches!(message, InboxMessage::Command { .. });
    let refused = |place| (place, domain::Verdict::Refused { reason: format!("the run was ended: {error}") });
    messages.iter().enumerate().filter(|(_, message)| own(message)).map(|(place, _)| refused(place)).collect()
}

fn command_ids(messages: &[InboxMessage]) -> Vec<Option<CommandId>> {
    let id = |message: &InboxMessage| match message {
        InboxMessage::Command { command, .. } => Some(command.command_id.clone()),
        InboxMessage::Start(_)
        | InboxMessage::EffectDone { .. }
        | InboxMessage::TimerFired { .. }
        | InboxMessage::ChildEnded(_)
        | InboxMessage::Event(_)
        | InboxMessage::Continue => None,
    };
    messages.iter().map(id).collect()
}

fn outcomes(step: &flow::Step, commands: &[Option<CommandId>], moment: Time) -> Vec<Outcome> {
    let settled = |(place, verdict): &(usize, domain::Verdict)| {
        Some(Outcome {
            command_id: commands.get(*place)?.clone()?,
            outcome: CommandOutcome {
                run_id: step.state.run_id.clone(),
                verdict: verdict.clone(),
                cursor: step.state.cursor,
                applied_at: moment,
            },
        })
    };
    step.outcomes.iter().filter_map(settled).collect()
}

/// Whether a step would store nothing that anybody needs: a late timer, an answer that came twice.
fn is_idle(step: &flow::Step, outcomes: &[Outcome], before: &State) -> bool {
    let same = || State { updated_at: before.updated_at, ..step.state.clone() } == *before;
    step.records.is_empty() && step.effects.is_empty() && outcomes.is_empty() && same()
}
