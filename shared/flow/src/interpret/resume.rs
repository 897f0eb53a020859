//! How a wait ends: by an answer, by time, or by being let go after a pause.

use super::machine::Machine;
use super::vars::write_result;
use crate::compile::Kind;
use domain::{EffectRecord, InboxMessage, Object, RunStatus, StepStatus, WaitReason};
use serde_json::{Value, json};

impl Machine<'_> {
    /// Ends the wait with an answer: it is written down, kept, and the run goes on or completes.
    pub(super) fn resume(&mut self, answer: Value) {
        let Some(wait) = self.state.waiting.take() else { return };
        self.disarm();
        let payload = json!({
            "wait_reason": wait.reason,
            "wait_key": wait.wait_key,
            "resume_to_node": wait.resume_to_node,
            "result_key": wait.result_key,
            "payload": answer,
        });
        let payload = payload.as_object().cloned().unwrap_or_default();
        let mut record = self.draft(StepStatus::Completed);
        record.effect = Some(EffectRecord { kind: "resume".to_owned(), payload, result_key: None });
        record.result = Some(json!({"resumed": true}));
        self.write(record);
        self.state.status = RunStatus::Running;
        if let Some(key) = &wait.result_key {
            write_result(&mut self.state.vars, key, answer.clone());
        }
        match wait.resume_to_node {
            Some(node) => self.state.current_node = node,
            None => {
                let output = json!({"success": true, "result": answer});
                let result = json!({
                    "completed": true,
                    "via": "resume",
                    "wait_reason": wait.reason,
                    "wait_key": wait.wait_key,
                    "output": output,
                });
                self.complete_with(output, result, None);
            }
        }
    }

    /// A timer rang. Only the one that is armed counts; an elapsed wait leaves no record and no result.
    pub(super) fn timer_fired(&mut self, timer: &str) {
        if self.state.timer.as_deref() != Some(timer) {
            return;
        }
        self.state.timer = None;
        self.elapsed();
    }

    pub(super) fn elapsed(&mut self) {
        let Some(wait) = self.state.waiting.take_if(|wait| wait.reason == WaitReason::Until) else {
            return;
        };
        self.state.status = RunStatus::Running;
        match wait.resume_to_node {
            Some(node) => self.state.current_node = node,
            None => {
                let until = wait.until.map(|until| until.to_string());
                let key = format!("system:completion:{}", self.state.current_node);
                self.completed(json!({"success": true, "result": {"until": until, "ready": true}}), Some(key));
            }
        }
    }

    /// An effect that was left to the driver has a result.
    pub(super) fn effect_done(&mut self, key: &str, attempt: u32, outcome: &Result<Value, String>) {
        let due = |pending: &mut crate::Pending| pending.key == key && pending.attempt == attempt;
        let Some(pending) = self.state.pending.take_if(due) else {
            return;
        };
        match outcome {
            Ok(value) => match crate::py::fits(value) {
                Ok(()) => self.land(pending, value.clone()),
                Err(exception) => self.effect_failed(&pending, format!("the result cannot be kept: {exception}")),
            },
            Err(error) => self.effect_failed(&pending, error.clone()),
        }
    }

    /// Holds what becomes due while the run is paused. Answers whether the message was held.
    pub(super) fn hold(&mut self, message: &InboxMessage) -> bool {
        if !self.state.control.paused {
            return false;
        }
        match message {
            InboxMessage::TimerFired { timer } if self.state.timer.as_deref() == Some(timer) => {}
            InboxMessage::ChildEnded(_) => {}
            InboxMessage::EffectDone { key, attempt, .. } => {
                let due = |pending: &mut crate::Pending| pending.key == *key && pending.attempt == *attempt;
                match self.state.pending.take_if(due) {
                    Some(pending) => self.state.control.landed = Some(Box::new(pending)),
                    None => return true,
                }
            }
            InboxMessage::TimerFired { .. } => return true,
            InboxMessage::Start(_) | InboxMessage::Command { .. } | InboxMessage::Event(_) | InboxMessage::Continue => {
                return false;
            }
        }
        if !self.state.control.held.contains(message) {
            self.state.control.held.push(message.clone());
        }
        true
    }

    /// Lets a paused run go on, with all that became due in the meantime.
    pub(super) fn release(&mut self) {
        self.state.control.paused = false;
        self.state.control.pause_reason = None;
        self.state.control.resumed_at = Some(self.world.now);
        let key = super::commands::pause_key(&self.state.run_id);
        if self.state.waiting.as_ref().is_some_and(|wait| wait.wait_key.as_deref() == Some(&key)) {
            self.state.waiting = None;
            self.state.status = RunStatus::Running;
        }
        self.state.pending =
            self.state.pending.take().or_else(|| self.state.control.landed.take().map(|pending| *pending));
        for message in std::mem::take(&mut self.state.control.held) {
            self.take(&message);
        }
    }

    /// Keeps of a model's answer what later nodes and clients read.
    pub(super) fn after_model(&mut self, announced: &crate::Pending, result: &Value) {
        let usage = |key: &str| result.pointer(&format!("/usage/{key}")).and_then(Value::as_u64);
        let used = usage("input_tokens").or_else(|| usage("prompt_tokens")).or_else(|| usage("total_tokens"));
        if let Some(used) = used {
            super::vars::child(&mut self.state.vars, "_limits").insert("estimated_tokens_used".to_owned(), json!(used));
        }
        *self.state.counts.entry("total_tokens".to_owned()).or_default() += usage("total_tokens").unwrap_or_default();
        let payload = &announced.effect.payload;
        let node = self.world.flow.find(&announced.node_id).map(|place| self.node(place));
        let keeps = payload.get("include_context").and_then(Value::as_bool).unwrap_or_default();
        if !keeps || node.is_none_or(|node| node.kind != Kind::LlmCall) {
            return;
        }
        let asked = super::llm::user_text(payload);
        let answer = super::llm::response_text(result);
        for (role, content) in [("user", asked), ("assistant", answer)] {
            let metadata = Object::from_iter([
                ("kind".to_owned(), json!("llm_turn")),
                ("node_id".to_owned(), json!(announced.node_id)),
            ]);
            if self.append_message(json!({"role": role, "content": content, "metadata": metadata})).is_err() {
                self.warn(format!(
                    "the turn of node '{}' was not added to the conversation, which is full",
                    announced.node_id
                ));
            }
        }
    }
}
