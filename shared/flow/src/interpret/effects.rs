//! Effects: announced in the ledger first, then either settled in the same step or left pending for the driver.

use super::machine::Machine;
use super::vars::write_result;
use crate::compile::Node;
use crate::py::{Exception, json_dumps};
use crate::{Effect, Pending};
use domain::{EffectRecord, RunStatus, StepStatus, Wait};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An effect that has been announced: what its closing record repeats.
pub(super) type Announced = Pending;

/// What became of an effect at once.
pub(super) enum Outcome {
    Completed(Value),
    Waiting(Box<Wait>),
    Failed(String),
    /// The driver performs it and reports back.
    Pending,
}

impl Machine<'_> {
    pub(super) fn perform(&mut self, node: &Node, effect: EffectRecord, next: Option<usize>) -> Result<(), Exception> {
        if let Some(target) = next {
            self.remember(node, "exec-out", target);
        }
        effect.payload.values().try_for_each(crate::py::fits)?;
        let key = self.idempotency_key(node, &effect);
        self.state.effect_seq += 1;
        *self.state.counts.entry(effect.kind.clone()).or_default() += 1;
        let effect = self.grounded(effect);
        let announced = Announced {
            key,
            step_id: self.next_id("step"),
            node_id: node.id.clone(),
            attempt: 1,
            started_at: self.world.now,
            effect,
            next: next.map(|target| self.world.flow.name(target).to_owned()),
        };
        self.announce(&announced);
        match self.settle(&announced)? {
            Outcome::Completed(value) => self.land(announced, value),
            Outcome::Waiting(wait) => self.wait(&announced, *wait),
            Outcome::Failed(error) => self.effect_failed(&announced, error),
            Outcome::Pending => self.state.pending = Some(announced),
        }
        Ok(())
    }

    fn settle(&mut self, announced: &Announced) -> Result<Outcome, Exception> {
        match announced.effect.kind.as_str() {
            "answer_user" => {
                let field = |key: &str| announced.effect.payload.get(key).cloned().unwrap_or(Value::Null);
                Ok(Outcome::Completed(json!({"message": field("message"), "level": field("level")})))
            }
            "ask_user" => Ok(self.begin_question(announced)),
            "wait_event" => Ok(self.begin_event_wait(announced)),
            "wait_until" => Ok(self.begin_time_wait(announced)),
            "start_subworkflow" => Ok(self.begin_child(announced)),
            "llm_call" | "emit_event" => Ok(self.hand_over(announced)),
            kind => Ok(Outcome::Failed(format!("No effect handler registered for {kind}"))),
        }
    }

    /// Leaves a slow effect to the driver.
    fn hand_over(&mut self, announced: &Announced) -> Outcome {
        if announced.effect.kind == "llm_call" && !super::llm::has_question(&announced.effect.payload) {
            return Outcome::Failed("llm_call requires a prompt or messages".to_owned());
        }
        let effect = self.slow(announced);
        self.effects.push(effect);
        Outcome::Pending
    }

    /// The driver's part of a pending effect.
    pub(super) fn slow(&self, pending: &Announced) -> Effect {
        let (key, attempt) = (pending.key.clone(), pending.attempt);
        if pending.effect.kind == "emit_event" {
            let (wait_keys, envelope) = self.emission(pending);
            return Effect::EmitEvent { key, attempt, wait_keys, envelope: Box::new(envelope) };
        }
        Effect::CallModel { key, attempt, request: pending.effect.payload.clone() }
    }

    /// The first half of SHA-256 over the effect and its place in the run.
    fn idempotency_key(&self, node: &Node, effect: &EffectRecord) -> String {
        let identity = json!({
            "effect_payload": effect.payload,
            "effect_seq": self.state.effect_seq,
            "effect_type": effect.kind,
            "node_id": node.id,
            "run_id": self.state.run_id.as_str(),
        });
        Sha256::digest(json_dumps(&identity).as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn announce(&mut self, announced: &Announced) {
        let started = self.closing(announced, StepStatus::Started);
        self.write(started);
    }

    fn closing(&self, announced: &Announced, status: StepStatus) -> super::machine::Draft {
        super::machine::Draft {
            step_id: announced.step_id.clone(),
            node_id: announced.node_id.clone(),
            status,
            effect: Some(announced.effect.clone()),
            result: None,
            error: None,
            started_at: announced.started_at,
            attempt: announced.attempt,
            key: Some(announced.key.clone()),
        }
    }

    /// Writes down a result and moves on.
    pub(super) fn land(&mut self, announced: Announced, value: Value) {
        let mut record = self.closing(&announced, StepStatus::Completed);
        record.result = Some(value.clone());
        self.write(record);
        if announced.effect.kind == "llm_call" {
            self.after_model(&announced, &value);
        }
        if let Some(key) = &announced.effect.result_key {
            write_result(&mut self.state.vars, key, value.clone());
        }
        match announced.next {
            Some(next) => self.state.current_node = next,
            None => {
                let key = format!("system:completion:{}", announced.node_id);
                self.completed(json!({"success": true, "result": value}), Some(key));
            }
        }
    }

    /// Writes down that an effect did not succeed, which ends the run.
    pub(super) fn effect_failed(&mut self, announced: &Announced, error: String) {
        self.attempt_failed(announced, error.clone());
        let attempts = announced.attempt;
        let error = if attempts > 1 { format!("Effect failed after {attempts} attempts: {error}") } else { error };
        self.failed(error);
    }

    pub(super) fn attempt_failed(&mut self, announced: &Announced, error: String) {
        let mut record = self.closing(announced, StepStatus::Failed);
        record.error = Some(error);
        self.write(record);
    }

    fn wait(&mut self, announced: &Announced, mut wait: Wait) {
        wait.resume_to_node.clone_from(&announced.next);
        wait.result_key.clone_from(&announced.effect.result_key);
        let mut record = self.closing(announced, StepStatus::Waiting);
        record.result = Some(json!({"wait": wait}));
        self.write(record);
        self.state.status = RunStatus::Waiting;
        self.state.waiting = Some(wait);
    }
}
