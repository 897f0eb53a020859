//! Takes in what comes, decides, and drafts the step that is to be stored. No IO and no clock: the loop has both.

mod attempts;
mod nodes;
mod orders;
mod seats;
mod services;
mod tell;

use crate::board::{Board, job_spec};
use crate::config::Config;
use crate::names::As;
use crate::step::{Entry, Notes, Step};
use bus::control::{Request, RequestBody};
use domain::Time;
use domain::control::{Answer, JobRequest, Notice, Payload};
use placement::{Action, Change, Event, JobEvent, Refusal};
use std::sync::Arc;

pub(crate) use attempts::{AttemptReport, Report};

/// Ended jobs that one step forgets at most.
const FORGOTTEN_AT_ONCE: usize = 64;

/// The state and the step in the making.
pub(crate) struct Desk {
    pub(crate) board: Board,
    pub(crate) config: Arc<Config>,
    now: Time,
    draft: Draft,
}

/// What a batch of inputs has led to so far.
#[derive(Default)]
pub(crate) struct Draft {
    entries: Vec<Entry>,
    notices: Vec<Notice>,
    answers: Vec<(u64, Answer)>,
    moved: bool,
    /// What is to be done once the step is stored.
    pub(crate) effects: Vec<Effect>,
}

/// Something to do once its step is stored.
#[derive(Debug)]
pub(crate) enum Effect {
    /// What the core decided.
    Act(Action),
    /// Keep a payload at hand: its job may be sent soon.
    Remember { job: crate::names::Job, payload: Payload },
    /// Delete the documents of a job.
    Forget { job: crate::names::Job },
}

impl Desk {
    pub(crate) fn new(board: Board, config: Arc<Config>) -> Self {
        let now = board.last_at;
        Self { board, config, now, draft: Draft::default() }
    }

    /// Begins a batch. Times in the log never go backwards, whatever the clock does.
    pub(crate) fn begin(&mut self, now: Time) {
        self.now = now.max(self.board.last_at);
    }

    /// Takes over: says so, and brings the rules' numbers up to date.
    pub(crate) fn take_lead(&mut self, leader: &str, epoch: u64) {
        self.board.particulars.epoch = epoch;
        self.note(Entry::Lead { leader: leader.to_owned() });
        self.tell_lead(leader, epoch);
        self.await_holders();
        if self.board.cluster().policy != self.config.policy {
            let policy = self.config.policy.clone();
            self.happened(Change::PolicySet { policy });
        }
    }

    /// Takes in a request. Its position is the cursor from now on, whatever becomes of it.
    pub(crate) fn request(&mut self, request: Request) {
        if request.sequence <= self.board.particulars.cursor {
            return;
        }
        self.board.particulars.cursor = request.sequence;
        self.draft.moved = true;
        match request.body {
            None => {}
            Some(RequestBody::Submit(job)) => self.submit(*job),
            Some(RequestBody::Order(order)) => {
                let answer = self.order(order.order);
                self.board.particulars.answer(request.sequence, answer.clone());
                self.draft.answers.push((request.sequence, answer));
            }
        }
    }

    fn submit(&mut self, request: JobRequest) {
        let id = request.id.cast();
        if self.board.job(&id).is_some() {
            return;
        }
        let notes = Notes {
            created_at: request.submitted_at,
            ttl_seconds: request.ttl_seconds,
            callback_url: request.callback_url.clone(),
            ran_on: None,
            started_at: None,
            progress: None,
            has_snapshot: false,
        };
        let spec = Box::new(job_spec(&request, self.now));
        self.draft.effects.push(Effect::Remember { job: id.clone(), payload: request.payload });
        // The particulars come first: what the event leads to adds to them.
        self.note(Entry::Notes { job: id, notes: Box::new(notes) });
        self.happened(Change::JobSubmitted { spec });
    }

    /// Decides what is due by now.
    pub(crate) fn time(&mut self) {
        self.clear_seats();
        let due = self.board.engine.wake_at().is_some_and(|due| due <= self.now);
        if due {
            for action in self.board.engine.on_time(self.now) {
                self.act(action);
            }
        }
        self.forget_old();
    }

    /// Everything that the engine wants to do at its first look.
    pub(crate) fn first_look(&mut self) {
        for action in self.board.engine.on_time(self.now) {
            self.act(action);
        }
    }

    fn forget_old(&mut self) {
        let micros = i64::try_from(self.config.retention.as_micros()).unwrap_or(i64::MAX);
        let limit = self.now.plus_micros(micros.saturating_neg());
        for _ in 0..FORGOTTEN_AT_ONCE {
            let ended = &self.board.particulars.ended;
            let Some((at, job)) = ended.first() else { return };
            if *at > limit && ended.len() <= self.config.remembered {
                return;
            }
            let job = job.clone();
            self.happened(Change::JobForgotten { job: job.clone() });
            self.draft.effects.push(Effect::Forget { job });
        }
    }

    /// When the loop has to look again at the latest.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        let micros = i64::try_from(self.config.retention.as_micros()).unwrap_or(i64::MAX);
        let oldest = self.board.particulars.ended.first().map(|(at, _)| at.plus_micros(micros));
        let too_many = self.board.particulars.ended.len() > self.config.remembered;
        let forget = if too_many { Some(self.now) } else { oldest };
        [self.board.engine.wake_at(), forget, self.seats_due()].into_iter().flatten().min()
    }

    /// The step to store, if there is one, and what to do after.
    pub(crate) fn finish(&mut self) -> (Option<Step>, Vec<Effect>) {
        let draft = std::mem::take(&mut self.draft);
        let particulars = &self.board.particulars;
        let any = draft.moved || !draft.entries.is_empty();
        let step = any.then(|| Step {
            epoch: particulars.epoch,
            cursor: particulars.cursor,
            node_cursor: particulars.node_cursor,
            entries: draft.entries,
            notices: draft.notices,
            answers: draft.answers,
        });
        (step, draft.effects)
    }

    /// Whether the step has grown so far that it should be stored before more is taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.draft.entries.len() >= 1_024
    }

    /// Something happened: the engine takes it in and decides, and both become entries. A refused event is none.
    fn happened(&mut self, change: Change) -> Option<Refusal> {
        let event = Event { at: self.now, change };
        let told = self.will_tell(&event.change);
        let (actions, applied) = self.board.engine.on_event(&event);
        if applied.is_ok() {
            self.record(event, told);
        }
        for action in actions {
            self.act(action);
        }
        applied.err()
    }

    fn job_event(&mut self, job: &crate::names::Job, what: JobEvent) -> Option<Refusal> {
        self.happened(Change::Job { job: job.clone(), what })
    }

    fn act(&mut self, action: Action) {
        let event = Event { at: self.now, change: action.change() };
        let told = self.will_tell(&event.change);
        self.record(event, told);
        self.draft.effects.push(Effect::Act(action));
    }

    fn record(&mut self, event: Event, told: tell::Told) {
        self.board.last_at = self.board.last_at.max(event.at);
        let change = event.change.clone();
        self.note(Entry::Event(event));
        self.tell(&change, told);
    }

    fn note(&mut self, entry: Entry) {
        let (particulars, cluster) = (&mut self.board.particulars, self.board.engine.cluster());
        particulars.apply(&entry, cluster);
        self.draft.entries.push(entry);
    }
}
