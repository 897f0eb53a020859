//! A driver in memory: runs, inboxes, timers and a scripted model, all on a virtual clock.

use domain::{Command, CommandKind, EventDelivery, InboxMessage, Object, RunId, SessionId, Source, StartRun, Time};
use flow::{Effect, Library, State, World, model};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Messages that one drive handles; more means that runs keep each other busy for ever.
const MESSAGES: usize = 100_000;

/// Runs in the order of their creation, with all that surrounds them.
pub(crate) struct Driver {
    library: Library,
    pub(crate) runs: Vec<State>,
    pub(crate) ledgers: Vec<Vec<Value>>,
    inbox: VecDeque<(RunId, InboxMessage)>,
    timers: Vec<(Time, RunId, String)>,
    script: VecDeque<Value>,
    pub(crate) now: Time,
    commands: u64,
}

impl Driver {
    pub(crate) fn new(library: Library, script: &[Value]) -> Self {
        Self {
            library,
            runs: Vec::new(),
            ledgers: Vec::new(),
            inbox: VecDeque::new(),
            timers: Vec::new(),
            script: script.iter().cloned().collect(),
            now: "2026-01-01T00:00:00".parse().unwrap(),
            commands: 0,
        }
    }

    pub(crate) fn start(&mut self, workflow: &str, vars: Object, session: &str, source: Source) -> RunId {
        let request = StartRun {
            run_id: RunId::new(domain::uuid_from(&[b"root"])),
            workflow_id: workflow.into(),
            source,
            vars,
            session_id: SessionId::new(session),
            actor_id: "gateway".to_owned(),
            parent_run_id: None,
            report_to_parent: false,
            created_at: self.now,
            request_digest: None,
        };
        self.begin(&request);
        request.run_id
    }

    fn begin(&mut self, request: &StartRun) {
        let entry = self.library.get(&request.workflow_id).expect("the workflow exists").entry().to_owned();
        self.runs.push(flow::start(request, &entry));
        self.ledgers.push(Vec::new());
        self.inbox.push_back((request.run_id.clone(), InboxMessage::Start(Box::new(request.clone()))));
    }

    pub(crate) fn command(&mut self, run: &RunId, kind: CommandKind, payload: Value) {
        self.commands += 1;
        let command = Command {
            command_id: format!("c{}", self.commands).into(),
            run_id: run.clone(),
            kind,
            payload: payload.as_object().cloned().unwrap_or_default(),
            ts: None,
            client_id: None,
            accepted_at: self.now,
        };
        let message = InboxMessage::Command { seq: self.commands, command: Box::new(command) };
        self.inbox.push_back((run.clone(), message));
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn sleep(&mut self, micros: i64) {
        let end = self.now.plus_micros(micros);
        loop {
            self.drive();
            let due =
                self.timers.iter().enumerate().filter(|(_, timer)| timer.0 <= end).min_by_key(|(_, timer)| timer.0);
            let Some((place, _)) = due else { break };
            let (at, run, timer) = self.timers.remove(place);
            self.now = at.max(self.now);
            self.inbox.push_back((run, InboxMessage::TimerFired { timer }));
        }
        self.now = end;
    }

    /// Handles messages until every run rests.
    pub(crate) fn drive(&mut self) {
        assert!(self.drive_at_most(MESSAGES), "the runs do not come to rest");
    }

    /// Handles so many messages at most; whether every run rests then.
    pub(crate) fn drive_at_most(&mut self, messages: usize) -> bool {
        for _ in 0..messages {
            let Some((run, message)) = self.inbox.pop_front() else {
                return true;
            };
            self.step(&run, message);
        }
        self.inbox.is_empty()
    }

    fn place(&self, run: &RunId) -> usize {
        self.runs.iter().position(|state| state.run_id == *run).expect("the run exists")
    }

    fn step(&mut self, run: &RunId, message: InboxMessage) {
        let place = self.place(run);
        let state = self.runs[place].clone();
        // What a run is must survive being stored.
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(state, serde_json::from_str(&text).unwrap());
        let flow = self.library.get(&state.workflow_id).unwrap().clone();
        let world = World { flow: &flow, flows: &self.library, now: self.now, zone: &TimeZone::UTC };
        let step = flow::step(world, state, &[message]);
        self.ledgers[place].extend(step.records.iter().map(|record| serde_json::to_value(record).unwrap()));
        assert_eq!(step.state.cursor, self.ledgers[place].len() as u64);
        self.runs[place] = step.state;
        for effect in step.effects {
            self.perform(run, effect);
        }
    }

    fn perform(&mut self, run: &RunId, effect: Effect) {
        match effect {
            Effect::CallModel { key, attempt, request } => {
                let outcome = self.ask(&request);
                self.inbox.push_back((run.clone(), InboxMessage::EffectDone { key, attempt, outcome }));
            }
            Effect::CallTools { .. } => panic!("no step asks for tools"),
            Effect::EmitEvent { key, attempt, wait_keys, envelope } => {
                let reached = self.deliver(&wait_keys, &envelope);
                let value = json!({
                    "wait_key": wait_keys[0],
                    "name": envelope.name,
                    "scope": envelope.scope,
                    "delivered": reached.len(),
                    "delivered_to": reached.iter().map(RunId::as_str).collect::<Vec<_>>(),
                    "resumed": reached.iter().map(|run| json!({"run_id": run.as_str(), "status": "running"})).collect::<Vec<_>>(),
                });
                self.inbox.push_back((run.clone(), InboxMessage::EffectDone { key, attempt, outcome: Ok(value) }));
            }
            Effect::DeliverEvent { wait_key, envelope, .. } => {
                self.deliver(&[wait_key], &envelope);
            }
            Effect::StartChild { child, workflow_id, vars, session_id, report } => {
                let request = StartRun {
                    run_id: child,
                    workflow_id,
                    source: self.runs[self.place(run)].source.clone(),
                    vars,
                    session_id: SessionId::new(session_id),
                    actor_id: "gateway".to_owned(),
                    parent_run_id: Some(run.clone()),
                    report_to_parent: report,
                    created_at: self.now,
                    request_digest: None,
                };
                self.begin(&request);
            }
            Effect::ArmTimer { timer, at } => self.timers.push((at, run.clone(), timer)),
            Effect::CancelTimer { timer } => self.timers.retain(|armed| armed.2 != timer),
            Effect::ReportEnd { parent, end } => self.inbox.push_back((parent, InboxMessage::ChildEnded(*end))),
            Effect::ForwardCommand { child, seq, command } => {
                self.inbox.push_back((child, InboxMessage::Command { seq, command }));
            }
            Effect::Continue => self.inbox.push_back((run.clone(), InboxMessage::Continue)),
        }
    }

    fn deliver(&mut self, keys: &[String], envelope: &domain::Envelope) -> Vec<RunId> {
        let mut reached = Vec::new();
        for state in self.runs.iter().filter(|state| !state.control.paused) {
            let key = state.waiting.as_ref().and_then(|wait| wait.wait_key.clone());
            if let Some(wait_key) = key.filter(|key| keys.contains(key)) {
                let delivery = EventDelivery { wait_key, envelope: envelope.clone() };
                self.inbox.push_back((state.run_id.clone(), InboxMessage::Event(delivery)));
                reached.push(state.run_id.clone());
            }
        }
        reached
    }

    /// The scripted model, by way of the request that would be sent.
    fn ask(&mut self, request: &Object) -> Result<Value, String> {
        let defaults = model::Defaults { model: "fake-model".to_owned(), max_output_tokens: None };
        let body = model::request_body(request, &defaults);
        assert!(body["messages"].as_array().is_some_and(|messages| !messages.is_empty()));
        let answer = self.script.pop_front().unwrap_or_else(|| json!({"http_error": 500, "message": "script is over"}));
        if answer.get("http_error").is_some() {
            return Err(answer["message"].as_str().unwrap_or_default().to_owned());
        }
        let response = json!({
            "model": body["model"],
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": answer["content"]}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        });
        model::result_from_response(request, &response, "trace", 1.0).map_err(|error| error.to_string())
    }

    /// What a checkpoint shows.
    pub(crate) fn checkpoint(&self, after: &str) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|state| {
                json!({
                    "run": state.run_id,
                    "status": state.status,
                    "current_node": state.current_node,
                    "waiting": state.waiting,
                })
            })
            .collect();
        json!({"after": after, "runs": runs})
    }

    /// The first run, in the order of creation, that waits for that reason.
    pub(crate) fn waiting_for(&self, reason: &str) -> RunId {
        let waits = |state: &&State| state.waiting.as_ref().is_some_and(|wait| wait.reason.as_str() == reason);
        self.runs.iter().find(waits).expect("a run waits for that").run_id.clone()
    }

    /// Everything that a golden case compares.
    pub(crate) fn observed(&self, checkpoints: Vec<Value>) -> Value {
        let run = |(state, ledger): (&State, &Vec<Value>)| {
            let vars: Object = state
                .vars
                .iter()
                .filter(|(key, _)| !key.starts_with('_'))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            json!({
                "run": state.run_id,
                "parent": state.parent_run_id,
                "workflow_id": state.workflow_id,
                "actor_id": state.actor_id,
                "session_id": state.session_id,
                "status": state.status,
                "current_node": state.current_node,
                "output": state.output,
                "error": state.error,
                "waiting": state.waiting,
                "vars": vars,
                "flow_error": state.vars.get("_flow_error"),
                "flow_warnings": state.vars.get("_flow_warnings"),
                "ledger": ledger,
            })
        };
        let runs: Vec<Value> = self.runs.iter().zip(&self.ledgers).map(run).collect();
        json!({"runs": runs, "checkpoints": checkpoints})
    }
}
