//! Performing what a stored step owes, and what to do with messages that no run takes.

use crate::clock::now;
use crate::drive::Base;
use crate::effects::Slow;
use crate::flows::Flows;
use crate::run::Runner;
use crate::turn::Input;
use crate::{RunnerError, effects};
use bus::{Delivery, TraceContext};
use domain::{Command, CommandKind, CommandOutcome, InboxMessage, Plane, RunId, Verdict};
use flow::Effect;
use futures::future::try_join_all;
use ledger::Head;
use std::collections::BTreeMap;

/// What performing a step's effects has brought.
#[derive(Default)]
pub(crate) struct Settled {
    /// Answers to take in at once.
    pub(crate) results: Vec<Input>,
    /// The slow effect that is to be performed while the doorbell is held.
    pub(crate) slow: Option<Slow>,
}

impl Runner {
    /// Whether a head may owe something that this process has not performed.
    pub(crate) fn owes(&self, bell: &Delivery, head: &Head) -> bool {
        let nothing = head.effects.is_empty() && head.outcomes.is_empty();
        !nothing && !self.performed.has(&bell.plane, &bell.run, head.sequence)
    }

    /// Performs the effects of a head that somebody else wrote, or this process before it lost its memory.
    pub(crate) async fn resend(&self, bell: &Delivery, head: &Head) -> Result<Vec<Input>, RunnerError> {
        let flows = match Flows::of(&self.bundles, &head.state.source, &head.state.workflow_id).await {
            Err(error) if error.is_transient() => return Err(error),
            flows => flows.map_err(|error| error.to_string()),
        };
        // Slow effects are not in it: only the holder of their doorbell performs them.
        Ok(self.settle(bell, &flows, head).await?.results)
    }

    /// Performs what the head owes. Everything in here may happen twice. A head counts as done with only when nothing
    /// came back that a further step has to take in: until that step is stored, the answer must be found again.
    pub(crate) async fn settle(
        &self,
        bell: &Delivery,
        flows: &Result<Flows, String>,
        head: &Head,
    ) -> Result<Settled, RunnerError> {
        let mut settled = Settled::default();
        let mut lanes: BTreeMap<&str, Vec<&Effect>> = BTreeMap::new();
        for effect in &head.effects {
            match effect {
                Effect::CallModel { .. } | Effect::CallTools { .. } => settled.slow = Slow::of(effect),
                Effect::Continue => settled.results.push(Input::answer(InboxMessage::Continue)),
                Effect::EmitEvent { .. }
                | Effect::DeliverEvent { .. }
                | Effect::StartChild { .. }
                | Effect::ArmTimer { .. }
                | Effect::CancelTimer { .. }
                | Effect::ReportEnd { .. }
                | Effect::ForwardCommand { .. } => lanes.entry(effects::lane(effect)).or_default().push(effect),
            }
        }
        let lanes = lanes.into_values().map(|effects| self.in_order(bell, flows, head, effects));
        let answers = try_join_all(lanes).await?;
        settled.results.extend(answers.into_iter().flatten().map(Input::answer));
        self.record_outcomes(bell, head).await?;
        if settled.results.is_empty() {
            self.performed.note(&bell.plane, &bell.run, head.sequence);
        }
        Ok(settled)
    }

    /// One after the other: a child must have its start before a command, and commands and events in their order.
    async fn in_order(
        &self,
        bell: &Delivery,
        flows: &Result<Flows, String>,
        head: &Head,
        effects: Vec<&Effect>,
    ) -> Result<Vec<InboxMessage>, RunnerError> {
        let mut answers = Vec::new();
        for effect in effects {
            match effects::perform(self, bell, flows, head, effect).await {
                Ok(answer) => answers.extend(answer),
                Err(error) if error.is_transient() => return Err(error),
                // It never will be possible, and the run must not stand still for it.
                Err(error) => answers.extend(effects::given_up(bell, effect, &error)),
            }
        }
        Ok(answers)
    }

    async fn record_outcomes(&self, bell: &Delivery, head: &Head) -> Result<(), RunnerError> {
        let outcomes = self.bus.outcomes(&bell.plane);
        try_join_all(head.outcomes.iter().map(|found| outcomes.record(&found.command_id, &found.outcome))).await?;
        Ok(())
    }

    /// What the step is computed from. A start begins a run that has no head; anything else without a head has no
    /// run, and is answered as such.
    pub(crate) async fn begin(
        &self,
        bell: &Delivery,
        head: Option<Head>,
        inputs: &mut Vec<Input>,
    ) -> Result<Option<Base>, RunnerError> {
        if let Some(head) = head {
            inputs.retain(|input| !matches!(input.message, InboxMessage::Start(_)));
            return Ok(Some(Base::Head(Box::new(head))));
        }
        let start = inputs.iter().position(|input| matches!(input.message, InboxMessage::Start(_)));
        if start != Some(0) {
            // Before anything is refused the leader is asked: a replica may not have the run yet. A start needs no
            // asking, for the fence of a first append holds only if there is none.
            if let Some(head) = Box::pin(self.ledger(&bell.plane).head_at_leader(&bell.run)).await? {
                inputs.retain(|input| !matches!(input.message, InboxMessage::Start(_)));
                return Ok(Some(Base::Head(Box::new(head))));
            }
            for input in inputs.drain(..start.unwrap_or(inputs.len())).collect::<Vec<_>>() {
                Box::pin(self.refuse(bell, input)).await?;
            }
        }
        let Some(InboxMessage::Start(request)) = inputs.first().map(|input| &input.message) else { return Ok(None) };
        let entry = match Flows::of(&self.bundles, &request.source, &request.workflow_id).await {
            Err(error) if error.is_transient() => return Err(error),
            // The step finds the same and ends the run with the reason.
            Err(_) => String::new(),
            Ok(flows) => {
                flows.library.get(&request.workflow_id).map(|flow| flow.entry().to_owned()).unwrap_or_default()
            }
        };
        Ok(Some(Base::New(Box::new(flow::start(request, &entry)))))
    }

    /// A message for a run that does not exist. Events are delivered all the same: they name no run in truth.
    async fn refuse(&self, bell: &Delivery, input: Input) -> Result<(), RunnerError> {
        let InboxMessage::Command { seq, command } = input.message else {
            tracing::debug!(run_id = %bell.run, "a message for a run that does not exist is dropped");
            return Ok(());
        };
        if !bell.is_for(&command.run_id) {
            // Passed on by a run that has told what became of it; this one never came to be.
            return Ok(());
        }
        let verdict = if command.kind == CommandKind::EmitEvent {
            self.emit_without_run(bell, seq, &command).await?
        } else {
            Verdict::Refused { reason: format!("Run '{}' not found", command.run_id) }
        };
        let outcome = CommandOutcome { run_id: command.run_id.clone(), verdict, cursor: 0, applied_at: now() };
        Ok(self.bus.outcomes(&bell.plane).record(&command.command_id, &outcome).await?)
    }

    async fn emit_without_run(&self, bell: &Delivery, seq: u64, command: &Command) -> Result<Verdict, RunnerError> {
        match flow::external_event(command) {
            Err(reason) => Ok(Verdict::Refused { reason }),
            Ok((wait_key, envelope)) => {
                let delivery = format!("command-{seq}");
                effects::deliver(self, bell, &wait_key, &delivery, &envelope).await?;
                Ok(Verdict::Applied { note: None })
            }
        }
    }

    /// Puts a message into a run's inbox.
    pub(crate) async fn send(
        &self,
        plane: &Plane,
        run: &RunId,
        id: &str,
        message: &InboxMessage,
        trace: &TraceContext,
    ) -> Result<(), RunnerError> {
        let body = serde_json::to_vec(message).map_err(|error| bus::BusError::Corrupt {
            what: "an inbox message".to_owned(),
            cause: error.to_string(),
        })?;
        self.bus.inbox(plane).send(run, id, &body.into(), trace).await?;
        Ok(())
    }
}
