//! The leader's loop. The order of its steps is the argument:
//!
//! 1. The state is read from the log, and a first step is appended under the fence. From here on a predecessor that is
//!    still alive cannot store anything, and so performs nothing new; its lease ran out, so it has hung up its calls.
//! 2. What comes in is taken into a draft step; the core decides as part of it.
//! 3. The step is appended, on condition that nobody else appended.
//! 4. Only then its effects are performed and questions are answered from the state.
//! 5. Any doubt (a refused or unknown append, a lost lease) ends the leadership; whoever leads next begins at 1.

use crate::answers::Answers;
use crate::board::Board;
use crate::clock;
use crate::config::Config;
use crate::desk::{AttemptReport, Desk};
use crate::effects::{Effects, Http, Shared};
use crate::error::SchedulerError;
use crate::names::{self, As};
use crate::offers::Offers;
use crate::step::Step;
use crate::{load, metrics, pumps};
use bus::control::{Asked, Request};
use bus::{Bus, CommitOutcome, NodeUpdate};
use domain::control::Seats;
use domain::nodes::NodeEvent;
use placement::outstanding;
use service::Tasks;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Inputs that wait to be taken in; whoever brings more waits.
const INPUTS_WAITING: usize = 4_096;
/// Inputs that one step takes in.
const INPUTS_PER_STEP: usize = 256;

/// What comes in.
pub(crate) enum Input {
    Request(Box<Request>),
    Node(Box<NodeUpdate>),
    NodeEvent(u64, Box<NodeEvent>),
    Attempt(AttemptReport),
    Healthy { service: names::Service, generation: u64, took_ms: f64 },
    LetBe { service: names::Service, generation: u64 },
    Asked(Box<Asked>),
    Seats(Box<Seats>),
}

/// What a leadership is made of.
pub(crate) struct Term {
    pub(crate) bus: Bus,
    pub(crate) config: Arc<Config>,
    pub(crate) tasks: Tasks,
    pub(crate) name: String,
    /// Cancelled when the lease is lost or the service stops; ends everything under way.
    pub(crate) leading: CancellationToken,
}

/// The leader.
struct Leader {
    term: Term,
    desk: Desk,
    effects: Effects,
    answers: Answers,
    offers: Offers,
    /// Position of the last step.
    last: u64,
    /// Steps since the last snapshot.
    unsaved: u64,
    writes: u64,
    started: Instant,
}

/// Leads until the term ends or a doubt arises.
pub(crate) async fn lead(term: Term) -> Result<(), SchedulerError> {
    let (saved, last) = load::load(&term.bus).await?;
    let (inputs, mut incoming) = mpsc::channel(INPUTS_WAITING);
    let desk = Desk::new(Board::new(saved, clock::now()), term.config.clone());
    let shared = Arc::new(Shared {
        bus: term.bus.clone(),
        http: Http::new(term.config.clone())?,
        config: term.config.clone(),
        inputs,
        tasks: term.tasks.clone(),
        leading: term.leading.clone(),
    });
    let effects = Effects::new(shared.clone());
    let started = Instant::now();
    let (answers, offers) = (Answers::default(), Offers::start(&shared));
    let mut leader = Leader { term, desk, effects, answers, offers, last, unsaved: 0, writes: 0, started };
    leader.take_over().await?;
    pumps::start(&shared, &leader.desk.board).await?;
    leader.run(&mut incoming).await
}

impl Leader {
    /// The first step, and what the predecessor owes.
    async fn take_over(&mut self) -> Result<(), SchedulerError> {
        let owed = outstanding(self.desk.board.cluster());
        self.desk.begin(clock::now());
        self.desk.take_lead(&self.term.name, self.last + 1);
        self.desk.first_look();
        let (step, effects) = self.desk.finish();
        if let Some(step) = step {
            self.append(&step).await?;
        }
        self.effects.take_over(owed, &self.desk.board);
        self.effects.perform(effects, &self.desk.board);
        self.effects.watch_health(&self.desk.board);
        tracing::info!(epoch = self.last, jobs = self.desk.board.cluster().jobs.len(), "this scheduler leads");
        Ok(())
    }

    async fn run(&mut self, incoming: &mut mpsc::Receiver<Input>) -> Result<(), SchedulerError> {
        let mut batch = Vec::with_capacity(INPUTS_PER_STEP);
        let leading = self.term.leading.clone();
        loop {
            let wake = self.wake_in();
            tokio::select! {
                () = leading.cancelled() => return Ok(()),
                _ = incoming.recv_many(&mut batch, INPUTS_PER_STEP) => {}
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
            }
            let mut questions = Vec::new();
            self.desk.begin(clock::now());
            for input in batch.drain(..) {
                self.take(input, &mut questions);
                if self.desk.is_full() {
                    self.commit().await?;
                }
            }
            self.desk.time();
            self.commit().await?;
            for asked in questions {
                self.answers.ask(asked, &self.desk.board, &self.effects.shared);
            }
            self.answers.look(&self.desk.board, &self.effects.shared);
            self.offers.look(&self.desk.board, &self.effects.shared.http);
        }
    }

    fn wake_in(&self) -> Option<std::time::Duration> {
        let due = self.desk.wake_at().map(clock::until);
        let waits = [self.answers.next_due(), self.offers.next_due()];
        let now = tokio::time::Instant::now();
        let waits = waits.map(|at| at.map(|at| at.saturating_duration_since(now)));
        [due].into_iter().chain(waits).flatten().min()
    }

    fn take(&mut self, input: Input, questions: &mut Vec<Asked>) {
        match input {
            Input::Request(request) => self.desk.request(*request),
            Input::Node(update) => self.desk.node(*update),
            Input::NodeEvent(sequence, event) => self.desk.node_event(sequence, &event),
            Input::Attempt(report) => {
                if !matches!(report.what, crate::desk::Report::Progress(_)) {
                    self.effects.ended(&report.job, report.attempt);
                }
                self.desk.report(report);
            }
            Input::Healthy { service, generation, took_ms } => self.desk.healthy(service, generation, took_ms),
            Input::LetBe { service, generation } => self.desk.let_be(service, generation),
            Input::Asked(asked) => questions.push(*asked),
            Input::Seats(seats) => self.desk.seats(*seats),
        }
    }

    /// Stores the drafted step and performs what it owes.
    async fn commit(&mut self) -> Result<(), SchedulerError> {
        let (step, effects) = self.desk.finish();
        let Some(step) = step else { return Ok(()) };
        self.append(&step).await?;
        self.effects.perform(effects, &self.desk.board);
        self.effects.watch_health(&self.desk.board);
        for notice in &step.notices {
            if let (true, Some(job)) = (notice.kind.is_job_end(), &notice.job) {
                metrics::ended(job.status.as_str());
                self.effects.done(&job.id.cast());
            }
        }
        self.snapshot_if_due();
        Ok(())
    }

    async fn append(&mut self, step: &Step) -> Result<(), SchedulerError> {
        let body = serde_json::to_vec(step)
            .map_err(|error| SchedulerError::Unreadable { what: "a step".to_owned(), cause: error.to_string() })?;
        self.writes += 1;
        let writer = format!("{}-{}-{}", self.term.name, self.started.elapsed().as_nanos(), self.writes);
        let began = Instant::now();
        let outcome = self.term.bus.control_log().append(self.last, &writer, &body.into()).await?;
        metrics::stored(began.elapsed().as_secs_f64());
        match outcome {
            CommitOutcome::Stored(sequence) => {
                self.last = sequence;
                self.unsaved += 1;
                Ok(())
            }
            CommitOutcome::Fenced => Err(SchedulerError::Superseded { expected: self.last }),
        }
    }

    fn snapshot_if_due(&mut self) {
        if self.unsaved < self.term.config.snapshot_every {
            return;
        }
        self.unsaved = 0;
        let (bus, saved, sequence) = (self.term.bus.clone(), self.desk.board.save(), self.last);
        self.effects.shared.spawn("snapshot", async move {
            if let Err(error) = load::store_snapshot(&bus, &saved, sequence).await {
                tracing::warn!(%error, sequence, "no snapshot was stored; the next start reads more");
            }
        });
    }
}
