//! Commands: what each does to a run, and how it spreads over the tree below it.

use super::events::external_event;
use super::machine::Machine;
use crate::Effect;
use crate::schedule;
use domain::{Command, CommandKind, Object, RunId, RunStatus, Verdict, Wait, WaitReason};
use serde_json::{Value, json};

/// The key of the wait that holds a paused run.
pub(super) fn pause_key(run: &RunId) -> String {
    format!("pause:{run}")
}

fn applied() -> Verdict {
    Verdict::Applied { note: None }
}

fn noted(note: &str) -> Verdict {
    Verdict::Applied { note: Some(note.to_owned()) }
}

fn refused(reason: impl Into<String>) -> Verdict {
    Verdict::Refused { reason: reason.into() }
}

impl Machine<'_> {
    /// Applies a command once. See [`crate::State::last_command`] for what makes it come once.
    pub(super) fn command(&mut self, seq: u64, command: &Command) -> Option<Verdict> {
        let own = command.run_id == self.state.run_id;
        let last = if own { &mut self.state.last_command } else { &mut self.state.last_forwarded };
        if seq <= *last {
            return None;
        }
        *last = seq;
        let verdict = match command.kind {
            CommandKind::Pause => self.pause(seq, command),
            CommandKind::Resume if command.payload.contains_key("payload") => self.answer(&command.payload),
            CommandKind::Resume => self.let_go(seq, command),
            CommandKind::Cancel => self.cancel(seq, command),
            CommandKind::EmitEvent => self.emit(seq, command),
            CommandKind::UpdateSchedule => self.update_schedule(seq, command),
            CommandKind::CompactMemory => self.compact_memory(seq, command),
        };
        own.then_some(verdict)
    }

    /// Passes a command on to the whole tree below, listeners and runs below a finished run included.
    fn spread(&mut self, seq: u64, command: &Command) {
        for child in &self.state.children {
            self.effects.push(Effect::ForwardCommand {
                child: child.run_id.clone(),
                seq,
                command: Box::new(command.clone()),
            });
        }
    }

    fn pause(&mut self, seq: u64, command: &Command) -> Verdict {
        self.spread(seq, command);
        if self.state.status.is_terminal() {
            return noted("the run has already ended");
        }
        if self.state.control.paused {
            return noted("the run is already paused");
        }
        if self.state.waiting.as_ref().is_some_and(|wait| wait.reason == WaitReason::User) {
            return noted("the run waits for a person and stays answerable");
        }
        self.state.control.paused = true;
        self.state.control.paused_at = Some(self.world.now);
        self.state.control.pause_reason = reason(&command.payload);
        self.state.control.resumed_at = None;
        if self.state.status == RunStatus::Running {
            self.state.status = RunStatus::Waiting;
            self.state.waiting = Some(Wait {
                wait_key: Some(pause_key(&self.state.run_id)),
                prompt: Some("Paused".to_owned()),
                allow_free_text: false,
                details: Some(Object::from_iter([("kind".to_owned(), json!("pause"))])),
                ..Wait::new(WaitReason::User)
            });
        }
        applied()
    }

    /// `resume` without an answer: ends a pause, and makes a sleeping schedule run now.
    fn let_go(&mut self, seq: u64, command: &Command) -> Verdict {
        self.spread(seq, command);
        if self.state.status.is_terminal() {
            return noted("the run has already ended");
        }
        let was_paused = self.state.control.paused;
        if was_paused {
            self.release();
        }
        let sleeps = self.state.waiting.as_ref().is_some_and(|wait| wait.reason == WaitReason::Until);
        if sleeps && self.recurs() {
            self.disarm();
            self.elapsed();
            return applied();
        }
        if was_paused { applied() } else { noted("the run is not paused") }
    }

    /// `resume` with an answer.
    fn answer(&mut self, payload: &Object) -> Verdict {
        let Some(answer) = payload.get("payload").filter(|answer| answer.is_object()) else {
            return refused("resume requires payload.payload to be an object");
        };
        if self.state.control.paused {
            return refused("the run is paused; resume it without a payload first");
        }
        let Some(wait) = self.state.waiting.as_ref() else {
            return refused(format!("the run is not waiting (status {})", self.state.status.as_str()));
        };
        let named = ["wait_key", "waitKey"].iter().find_map(|key| payload.get(*key)).and_then(Value::as_str);
        if let (Some(named), Some(key)) = (named, wait.wait_key.as_deref())
            && named != key
        {
            return refused(format!("the run waits for '{key}', not for '{named}'"));
        }
        if let Err(exception) = crate::py::fits(answer) {
            return refused(format!("payload.payload cannot be kept: {exception}"));
        }
        self.resume(answer.clone());
        applied()
    }

    fn cancel(&mut self, seq: u64, command: &Command) -> Verdict {
        self.spread(seq, command);
        if self.state.status.is_terminal() {
            return noted("the run has already ended");
        }
        self.cancelled(reason(&command.payload).unwrap_or_else(|| "Cancelled".to_owned()));
        applied()
    }

    fn emit(&mut self, seq: u64, command: &Command) -> Verdict {
        match external_event(command) {
            Ok((wait_key, envelope)) => {
                let delivery = format!("command:{seq}");
                self.effects.push(Effect::DeliverEvent { wait_key, delivery, envelope: Box::new(envelope) });
                applied()
            }
            Err(reason) => refused(reason),
        }
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.state.workflow_id.as_str().starts_with(schedule::PREFIX)
    }

    fn recurs(&self) -> bool {
        let interval = super::vars::peek(&self.state.vars, &["_meta", "schedule", "interval"]);
        self.is_scheduled() && interval.is_some_and(Value::is_string)
    }

    /// Hands a command that concerns schedules to the run above, which may be one.
    fn pass_up(&mut self, seq: u64, command: &Command) -> Option<Verdict> {
        let parent = self.state.parent_run_id.clone()?;
        self.effects.push(Effect::ForwardCommand { child: parent, seq, command: Box::new(command.clone()) });
        Some(noted("passed on to the run that started this one"))
    }

    fn update_schedule(&mut self, seq: u64, command: &Command) -> Verdict {
        if !self.is_scheduled() {
            return self.pass_up(seq, command).unwrap_or_else(|| refused("the run is not part of a schedule"));
        }
        if self.state.status.is_terminal() {
            return refused("the schedule has already ended");
        }
        if !self.recurs() {
            return refused("the schedule does not recur");
        }
        let text = ["interval", "schedule"].iter().find_map(|key| command.payload.get(*key)).and_then(Value::as_str);
        let interval = text.map(str::trim).filter(|text| !text.is_empty());
        let Some(interval) = interval else {
            return refused("update_schedule requires payload.interval");
        };
        let Some(micros) = schedule::interval_micros(interval).filter(|micros| *micros > 0) else {
            return refused(format!("interval '{interval}' is not a duration such as '15m', '1h' or '2d'"));
        };
        schedule::set_interval(&mut self.state, interval, self.world.now);
        let at_once = command.payload.get("apply_immediately").is_none_or(crate::py::truthy);
        let sleeps = self.state.current_node == schedule::WAIT_INTERVAL;
        if let Some(wait) =
            self.state.waiting.as_mut().filter(|wait| at_once && sleeps && wait.reason == WaitReason::Until)
        {
            let until = self.world.now.plus_micros(micros);
            wait.until = Some(until);
            self.state.control.held.retain(|message| !matches!(message, domain::InboxMessage::TimerFired { .. }));
            self.arm(until);
        }
        applied()
    }

    fn compact_memory(&mut self, seq: u64, command: &Command) -> Verdict {
        if !self.is_scheduled() {
            return self.pass_up(seq, command).unwrap_or_else(|| refused("the run is not part of a schedule"));
        }
        let keep = command.payload.get("preserve_recent").and_then(Value::as_u64).unwrap_or(6);
        let messages = super::messages::conversation(&self.state).map_or(0, Vec::len) as u64;
        if messages == 0 {
            return refused("no run of the schedule has context.messages: there is nothing to compact");
        }
        if messages <= keep {
            return refused(format!(
                "the conversation has {messages} messages, of which {keep} are kept: there is nothing to compact"
            ));
        }
        refused("memory compaction is not executed by this version yet")
    }
}

fn reason(payload: &Object) -> Option<String> {
    crate::compile::text(payload.get("reason"))
}
