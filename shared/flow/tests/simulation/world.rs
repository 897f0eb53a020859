//! The world: inboxes, ledgers, runners that die, and clients.

use domain::{
    Command, CommandKind, EventDelivery, InboxMessage, Object, RunId, SessionId, Source, StartRun, StepRecord, Time,
    Verdict, WaitReason, WorkflowId,
};
use flow::{Effect, Library, State, Step, World};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const MICROS_OF_SECOND: i64 = 1_000_000;

/// What is stored of a run.
#[derive(Default)]
pub(crate) struct Stored {
    inbox: Vec<InboxMessage>,
    pub(crate) state: Option<State>,
    applied: usize,
    version: u64,
    /// Effects of the last step; performed again when it is not known that they were.
    effects: Vec<Effect>,
    owed: bool,
    pub(crate) ledger: Vec<StepRecord>,
    pub(crate) outcomes: BTreeMap<u64, usize>,
}

enum Happening {
    Ring(RunId),
    Publish(RunId, Box<InboxMessage>),
    /// A runner that was held up appends what it computed long ago.
    LateAppend(RunId, u64, usize, Box<Step>),
    /// A runner that was held up performs effects that another has performed.
    LateEffects(RunId, Vec<Effect>),
    /// Whoever performed an effect is found to be gone.
    Lost(RunId, String, u32),
    Client,
}

pub(crate) struct Sim<'a> {
    library: &'a Library,
    random: u64,
    now: i64,
    order: u64,
    queue: BTreeMap<(i64, u64), Happening>,
    pub(crate) runs: BTreeMap<RunId, Stored>,
    armed: BTreeSet<String>,
    commands: u64,
    /// Commands sent, by place in the log, with the run that each names.
    pub(crate) sent: BTreeMap<u64, RunId>,
}

impl<'a> Sim<'a> {
    pub(crate) fn new(library: &'a Library, seed: u64) -> Self {
        let (queue, runs) = (BTreeMap::new(), BTreeMap::new());
        let armed = BTreeSet::new();
        Self { library, random: seed, now: 0, order: 0, queue, runs, armed, commands: 0, sent: BTreeMap::new() }
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.draw().is_multiple_of(odds)
    }

    fn below(&mut self, end: u64) -> i64 {
        i64::try_from(self.draw() % end).unwrap()
    }

    fn later(&mut self, micros: i64, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now + micros, self.order), happening);
    }

    fn soon(&mut self, happening: Happening) {
        let delay = self.below(50_000);
        self.later(delay, happening);
    }

    fn time(&self) -> Time {
        "2026-01-01".parse::<Time>().unwrap().plus_micros(self.now)
    }

    /// Appends to an inbox, as a stream does: in order, sometimes twice.
    fn publish(&mut self, run: &RunId, message: InboxMessage) {
        let twice = self.one_in(12);
        let stored = self.runs.entry(run.clone()).or_default();
        stored.inbox.push(message.clone());
        if twice {
            stored.inbox.push(message);
        }
        self.soon(Happening::Ring(run.clone()));
        if self.one_in(12) {
            self.soon(Happening::Ring(run.clone()));
        }
    }

    fn start(&mut self, request: StartRun) {
        let run = request.run_id.clone();
        self.publish(&run, InboxMessage::Start(Box::new(request)));
    }

    fn request(
        &self,
        run: &str,
        workflow: &WorkflowId,
        vars: Object,
        parent: Option<&RunId>,
        report: bool,
    ) -> StartRun {
        StartRun {
            run_id: run.into(),
            workflow_id: workflow.clone(),
            source: Source::Bundle { sha256: String::new() },
            vars,
            session_id: SessionId::new("session"),
            actor_id: "gateway".to_owned(),
            parent_run_id: parent.cloned(),
            report_to_parent: report,
            created_at: self.time(),
            request_digest: None,
        }
    }

    /// Sends a command; now and then a second time, under its first place in the log.
    fn command(&mut self, run: &RunId, kind: CommandKind, payload: Value) {
        self.commands += 1;
        let seq = self.commands;
        self.sent.insert(seq, run.clone());
        let command = Command {
            command_id: format!("c{seq}").into(),
            run_id: run.clone(),
            kind,
            payload: payload.as_object().cloned().unwrap_or_default(),
            ts: None,
            client_id: None,
            accepted_at: self.time(),
        };
        let message = InboxMessage::Command { seq, command: Box::new(command) };
        self.publish(run, message.clone());
        if self.one_in(6) {
            let delay = self.below(3_000_000);
            self.later(delay, Happening::Publish(run.clone(), Box::new(message)));
        }
    }

    /// A runner takes a doorbell.
    fn ring(&mut self, run: &RunId) {
        let Some(stored) = self.runs.get(run) else { return };
        let (version, applied, owed) = (stored.version, stored.applied, stored.owed);
        let inputs: Vec<InboxMessage> = stored.inbox[applied..].to_vec();
        let effects = stored.effects.clone();
        if owed && !self.perform_all(run, effects) {
            return;
        }
        let Some(stored) = self.runs.get_mut(run) else { return };
        stored.owed = false;
        if inputs.is_empty() {
            return;
        }
        let taken = applied + inputs.len();
        let state = stored.state.clone().or_else(|| first(self.library, &inputs));
        let Some(state) = state else { return };
        let step = self.step(state, &inputs);
        match self.draw() % 40 {
            0 => self.soon(Happening::Ring(run.clone())),
            1 => {
                self.soon(Happening::Ring(run.clone()));
                let delay = self.below(2_000_000);
                self.later(delay, Happening::LateAppend(run.clone(), version, taken, Box::new(step)));
            }
            _ => self.append(run, version, taken, step, &inputs),
        }
    }

    fn step(&self, state: State, inputs: &[InboxMessage]) -> Step {
        let flow = self.library.get(&state.workflow_id).unwrap();
        let world = World { flow, flows: self.library, now: self.time(), zone: &TimeZone::UTC };
        flow::step(world, state, inputs)
    }

    /// The fenced append: whoever comes second is refused.
    fn append(&mut self, run: &RunId, version: u64, taken: usize, step: Step, inputs: &[InboxMessage]) {
        let lost_answer = self.one_in(20);
        let stored = self.runs.get_mut(run).unwrap();
        if stored.version != version {
            return;
        }
        stored.version += 1;
        stored.applied = taken;
        for (place, verdict) in &step.outcomes {
            let InboxMessage::Command { seq, .. } = &inputs[*place] else { panic!("an outcome without a command") };
            assert!(matches!(verdict, Verdict::Applied { .. } | Verdict::Refused { .. }));
            *stored.outcomes.entry(*seq).or_default() += 1;
        }
        stored.ledger.extend(step.records);
        assert_eq!(step.state.cursor, stored.ledger.len() as u64, "law 1");
        stored.state = Some(step.state);
        stored.effects.clone_from(&step.effects);
        stored.owed = true;
        if lost_answer {
            self.soon(Happening::Ring(run.clone()));
        } else if self.perform_all(run, step.effects) {
            self.runs.get_mut(run).unwrap().owed = false;
        }
    }

    /// Performs effects in order; a runner that dies on the way leaves the rest to whoever takes the doorbell next.
    fn perform_all(&mut self, run: &RunId, effects: Vec<Effect>) -> bool {
        let again = effects.clone();
        for effect in effects {
            if self.one_in(30) {
                self.soon(Happening::Ring(run.clone()));
                if self.one_in(2) {
                    let delay = self.below(4_000_000);
                    self.later(delay, Happening::LateEffects(run.clone(), again));
                }
                return false;
            }
            self.perform(run, effect);
        }
        true
    }

    fn perform(&mut self, run: &RunId, effect: Effect) {
        match effect {
            Effect::CallModel { key, attempt, .. } => self.call_model(run, key, attempt),
            Effect::CallTools { .. } => panic!("no step asks for tools"),
            Effect::EmitEvent { key, attempt, wait_keys, envelope } => {
                let delivered = self.deliver(&wait_keys, &envelope);
                let outcome = Ok(json!({"wait_key": wait_keys[0], "delivered": delivered}));
                self.publish(run, InboxMessage::EffectDone { key, attempt, outcome });
            }
            Effect::DeliverEvent { wait_key, envelope, .. } => {
                self.deliver(&[wait_key], &envelope);
            }
            Effect::StartChild { child, workflow_id, vars, report, .. } => {
                if !self.runs.contains_key(&child) {
                    let request = self.request(child.as_str(), &workflow_id, vars, Some(run), report);
                    self.start(request);
                }
            }
            Effect::ArmTimer { timer, at } => {
                let micros = at.as_micros() - self.time().as_micros();
                if self.armed.insert(timer.clone()) {
                    let message = InboxMessage::TimerFired { timer };
                    self.later(micros.max(0), Happening::Publish(run.clone(), Box::new(message)));
                }
            }
            // Cancelling a timer is a favour, not a promise: here it always comes too late.
            Effect::CancelTimer { .. } => {}
            Effect::ReportEnd { parent, end } => self.publish(&parent, InboxMessage::ChildEnded(*end)),
            Effect::ForwardCommand { child, seq, command } => {
                self.publish(&child, InboxMessage::Command { seq, command });
            }
            Effect::Continue => self.publish(run, InboxMessage::Continue),
        }
    }

    fn call_model(&mut self, run: &RunId, key: String, attempt: u32) {
        let delay = self.below(400_000);
        if self.one_in(8) {
            self.later(delay + MICROS_OF_SECOND, Happening::Lost(run.clone(), key, attempt));
            return;
        }
        let outcome = if self.one_in(40) {
            Err("no route".to_owned())
        } else {
            Ok(json!({"content": format!("answer {}", self.draw() % 1000)}))
        };
        self.later(
            delay,
            Happening::Publish(run.clone(), Box::new(InboxMessage::EffectDone { key, attempt, outcome })),
        );
    }

    fn deliver(&mut self, keys: &[String], envelope: &domain::Envelope) -> usize {
        let waiting = |stored: &Stored| {
            let wait = stored.state.as_ref()?.waiting.as_ref()?;
            wait.wait_key.clone().filter(|key| wait.reason == WaitReason::Event && keys.contains(key))
        };
        let reached: Vec<(RunId, String)> =
            self.runs.iter().filter_map(|(run, stored)| Some((run.clone(), waiting(stored)?))).collect();
        let count = reached.len();
        for (run, wait_key) in reached {
            self.publish(&run, InboxMessage::Event(EventDelivery { wait_key, envelope: envelope.clone() }));
        }
        count
    }

    fn lost(&mut self, run: &RunId, key: &str, attempt: u32) {
        let stored = &self.runs[run];
        let Some(state) = stored.state.clone() else { return };
        let flow = self.library.get(&state.workflow_id).unwrap();
        let world = World { flow, flows: self.library, now: self.time(), zone: &TimeZone::UTC };
        let (version, applied) = (stored.version, stored.applied);
        let owed = stored.owed.then(|| stored.effects.clone());
        if owed.is_some_and(|effects| !self.perform_all(run, effects)) {
            self.soon(Happening::Lost(run.clone(), key.to_owned(), attempt));
            return;
        }
        let step = flow::attempt_lost(world, state, key, attempt);
        if step.changed {
            self.append(run, version, applied, step, &[]);
        }
    }

    /// A client does something, anything.
    fn client(&mut self) {
        let roots: Vec<RunId> = vec!["root-0".into(), "root-1".into()];
        let root = roots[usize::from(self.one_in(2))].clone();
        match self.draw() % 8 {
            0 => self.command(&root, CommandKind::Pause, json!({"reason": "hold"})),
            1 | 2 => self.command(&root, CommandKind::Resume, json!({})),
            3 if self.one_in(3) => {
                self.command(&root, CommandKind::Cancel, json!({}));
                // Straight to a run below, while the cancel is still on its way down.
                self.nudge();
            }
            4 => {
                let id = format!("external-{}", self.commands);
                let payload = json!({"name": "tick", "session_id": "session", "event_id": id});
                self.command(&root, CommandKind::EmitEvent, payload);
            }
            _ => self.answer_all(),
        }
    }

    /// A command that changes nothing, for any run.
    fn nudge(&mut self) {
        let place = usize::try_from(self.draw()).unwrap_or_default() % self.runs.len();
        let run = self.runs.keys().nth(place).unwrap().clone();
        self.command(&run, CommandKind::Resume, json!({"wait_key": "no such key", "payload": {}}));
    }

    fn answer_all(&mut self) {
        let asks = |stored: &Stored| {
            let wait = stored.state.as_ref()?.waiting.as_ref()?;
            wait.wait_key.clone().filter(|key| key.starts_with("user:"))
        };
        let waiting: Vec<(RunId, String)> =
            self.runs.iter().filter_map(|(run, stored)| Some((run.clone(), asks(stored)?))).collect();
        for (run, key) in waiting {
            self.command(&run, CommandKind::Resume, json!({"wait_key": key, "payload": {"response": "this"}}));
        }
    }

    fn drain(&mut self) {
        for _ in 0..20_000 {
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                return;
            };
            self.now = self.now.max(at);
            match happening {
                Happening::Ring(run) => self.ring(&run),
                Happening::Publish(run, message) => self.publish(&run, *message),
                Happening::LateAppend(run, version, taken, step) => {
                    let inputs = self.runs[&run].inbox[..taken].to_vec();
                    let from = taken - step_inputs(&self.runs[&run], taken, version);
                    self.append(&run, version, taken, *step, &inputs[from..]);
                    self.soon(Happening::Ring(run));
                }
                Happening::LateEffects(run, effects) => {
                    effects.into_iter().for_each(|effect| self.perform(&run, effect));
                }
                Happening::Lost(run, key, attempt) => self.lost(&run, &key, attempt),
                Happening::Client => self.client(),
            }
        }
        panic!("the world does not come to rest");
    }

    pub(crate) fn live(mut self) -> Self {
        let request = |sim: &Self, run: &str| sim.request(run, &"main".into(), Object::new(), None, false);
        let (one, two) = (request(&self, "root-0"), request(&self, "root-1"));
        self.start(one);
        self.start(two);
        for _ in 0..6 {
            let delay = self.below(4_000_000);
            self.later(delay, Happening::Client);
        }
        self.drain();
        crate::check::check_cancelled(&self.runs);
        // The clients become reasonable: they let every run go on and answer whatever is asked.
        for _ in 0..24 {
            let open = |stored: &Stored| stored.state.as_ref().is_some_and(|state| !state.status.is_terminal());
            let paused: Vec<RunId> = self
                .runs
                .iter()
                .filter(|(_, stored)| open(stored) && stored.state.as_ref().is_some_and(|state| state.control.paused))
                .map(|(run, _)| run.clone())
                .collect();
            for run in paused {
                self.command(&run, CommandKind::Resume, json!({}));
            }
            self.answer_all();
            self.drain();
        }
        self
    }
}

/// How many inputs a held-up step had: those since the version that it was computed on, if that is still the head.
fn step_inputs(stored: &Stored, taken: usize, version: u64) -> usize {
    if stored.version == version { taken - stored.applied } else { 0 }
}

fn first(library: &Library, inputs: &[InboxMessage]) -> Option<State> {
    inputs.iter().find_map(|message| match message {
        InboxMessage::Start(request) => Some(flow::start(request, library.get(&request.workflow_id)?.entry())),
        InboxMessage::Command { .. }
        | InboxMessage::EffectDone { .. }
        | InboxMessage::TimerFired { .. }
        | InboxMessage::ChildEnded(_)
        | InboxMessage::Event(_)
        | InboxMessage::Continue => None,
    })
}
