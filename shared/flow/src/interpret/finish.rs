//! How a run ends: its last records, what it leaves behind, and who is told.

use super::machine::Machine;
use crate::Effect;
use domain::{ChildEnd, EffectRecord, Object, RunStatus, StepStatus};
use serde_json::{Value, json};

impl Machine<'_> {
    /// The run completes at the current node.
    pub(super) fn completed(&mut self, output: Value, key: Option<String>) {
        let result = json!({"completed": true, "output": output});
        self.complete_with(output, result, key);
    }

    pub(super) fn complete_with(&mut self, output: Value, result: Value, key: Option<String>) {
        let mut record = self.draft(StepStatus::Completed);
        record.result = Some(result);
        record.key = key;
        self.write(record);
        self.state.output = Some(output);
        self.end(RunStatus::Completed, None);
        self.terminal_event();
    }

    /// The run fails by an effect.
    pub(super) fn failed(&mut self, error: String) {
        self.end(RunStatus::Failed, Some(error));
        self.terminal_event();
    }

    /// The run fails by an exception that no node caught; no terminal event follows.
    pub(super) fn crashed(&mut self, error: String) {
        let mut record = self.draft(StepStatus::Failed);
        record.error = Some(error.clone());
        record.key = Some(format!("system:tick_exception:{}", self.state.run_id));
        self.write(record);
        self.end(RunStatus::Failed, Some(error));
    }

    pub(super) fn cancelled(&mut self, reason: String) {
        self.state.control.paused = false;
        self.state.control.pause_reason = None;
        self.end(RunStatus::Cancelled, Some(reason));
        self.terminal_event();
    }

    fn terminal_event(&mut self) {
        let status = self.state.status.as_str();
        let payload = json!({"text": status});
        let mut event = Object::new();
        event.insert("name".to_owned(), json!("abstract.status"));
        event.insert("scope".to_owned(), json!("session"));
        event.insert("payload".to_owned(), payload.clone());
        let mut record = self.draft(StepStatus::Completed);
        record.effect = Some(EffectRecord { kind: "emit_event".to_owned(), payload: event, result_key: None });
        record.result = Some(json!({"emitted": true, "name": "abstract.status", "payload": payload}));
        record.key = Some(format!("system:terminal_status:{status}"));
        self.write(record);
    }

    fn end(&mut self, status: RunStatus, error: Option<String>) {
        self.state.status = status;
        self.state.error = error;
        self.state.waiting = None;
        self.state.pending = None;
        self.state.control.held.clear();
        self.state.control.landed = None;
        self.state.seen.clear();
        self.disarm();
        // Nothing reads a finished run's working space, and every finished run is kept.
        self.state.vars.shift_remove("_temp");
        self.state.vars.shift_remove("_last_output");
        if let Some(parent) = self.state.parent_run_id.clone().filter(|_| self.state.report_to_parent) {
            let end = ChildEnd {
                child: self.state.run_id.clone(),
                status,
                output: self.state.output.clone(),
                error: self.state.error.clone(),
            };
            self.effects.push(Effect::ReportEnd { parent, end: Box::new(end) });
        }
    }

    /// Forgets the armed timer, if there is one.
    pub(super) fn disarm(&mut self) {
        if let Some(timer) = self.state.timer.take() {
            self.effects.push(Effect::CancelTimer { timer });
        }
    }
}
