//! A stream of events on its way from a backend to a client.
//!
//! Nothing is read from the backend before the client has taken what came before, so a slow reader slows its backend
//! and costs no memory. Whatever goes wrong is told to the client as an event, and the connection is then broken off
//! without the mark that ends a whole answer.

use super::account::Account;
use super::body::Answer;
use super::dialect::{Dialect, Verdict};
use super::job::Job;
use super::native::Native;
use super::watchdog::{Late, Watchdog};
use crate::config::Timeouts;
use crate::error::ProxyError;
use crate::relay::completion::Completion;
use crate::routing::{Backend, Guard, Route, Ticket};
use crate::sse::frame::KEEP_ALIVE;
use crate::sse::{Frame, Splitter};
use crate::usage::Outcome;
use bytes::Bytes;
use http_body_util::BodyExt;
use metrics::Histogram;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a complete stream may take to close its connection in good order, so that it can be used again.
const CLOSING: Duration = Duration::from_millis(20);

/// The stream was broken off; the client sees a reset.
#[derive(Debug, thiserror::Error)]
#[error("the stream was broken off: {0}")]
pub(crate) struct BrokenOff(pub(crate) ProxyError);

/// One stream.
pub(crate) struct Live {
    body: Option<Answer>,
    splitter: Splitter,
    dialect: Box<dyn Dialect>,
    ready: VecDeque<Bytes>,
    ending: Option<Ending>,
    timeouts: Timeouts,
    deadline: Instant,
    heard: Instant,
    /// When the last content came, and how many pieces have come.
    token: Option<(Instant, u64)>,
    between_tokens: Histogram,
    backend: Arc<Backend>,
    watchdog: Arc<Watchdog>,
    /// Fields are dropped in this order: the guards before the ticket that counts them.
    held: Vec<Guard>,
    account: Option<Account>,
    ticket: Option<Ticket>,
}

enum Ending {
    Whole,
    Broken(ProxyError),
    Over,
}

impl Live {
    /// A stream that reads that body.
    pub(crate) fn new(job: &Job, backend: Arc<Backend>, held: Vec<Guard>, body: Answer) -> Self {
        Self::build(job, backend, held, Some(body))
    }

    /// A stream of an answer that came whole although events were asked for.
    pub(crate) fn of_whole(
        job: &Job,
        backend: Arc<Backend>,
        held: Vec<Guard>,
        text: &[u8],
    ) -> Result<Self, ProxyError> {
        let events = super::whole::as_events(job, &backend, text)?;
        let mut live = Self::build(job, backend, held, None);
        live.feed(events)?;
        Ok(live)
    }

    fn build(job: &Job, backend: Arc<Backend>, held: Vec<Guard>, body: Option<Answer>) -> Self {
        Self {
            body,
            splitter: Splitter::new(job.bounds.event_bytes),
            dialect: dialect(job, &backend),
            ready: VecDeque::new(),
            ending: None,
            timeouts: job.timeouts,
            deadline: job.deadline,
            heard: Instant::now(),
            token: None,
            between_tokens: job.model.meters.between_tokens(),
            backend,
            watchdog: Arc::clone(&job.watchdog),
            held,
            account: None,
            ticket: None,
        }
    }

    /// Waits for the first event. An error in its place is an error of the request, not of the stream.
    pub(crate) async fn first(&mut self) -> Result<(), ProxyError> {
        while self.ending.is_none() && self.dialect_is_silent() {
            match self.read().await {
                Read::Piece(piece) => self.feed(piece)?,
                Read::End => self.end()?,
                Read::Failed(reason) => return Err(self.cut(reason)),
            }
        }
        Ok(())
    }

    /// Takes over what belongs to the request.
    pub(crate) fn adopt(&mut self, job: Job) {
        let Job { mut account, held, ticket, .. } = job;
        account.streams();
        account.first_token();
        self.held.extend(held);
        self.account = Some(account);
        self.ticket = Some(ticket);
        self.settle();
    }

    /// Holds something until the stream goes.
    pub(crate) fn hold(&mut self, guard: Guard) {
        self.held.push(guard);
    }

    /// The next piece for the client; an error breaks its connection off.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            match self.ending.take() {
                None => {}
                Some(Ending::Over) => return None,
                Some(Ending::Whole) => {
                    self.ending = Some(Ending::Over);
                    self.close_upstream().await;
                    return None;
                }
                Some(Ending::Broken(error)) => {
                    self.ending = Some(Ending::Over);
                    // Gives the server the moment in which it flushes the event that tells of the failure.
                    tokio::task::yield_now().await;
                    return Some(Err(BrokenOff(error)));
                }
            }
            if let Some(comment) = self.step().await {
                return Some(Ok(comment));
            }
        }
    }

    /// Waits for something to happen; a comment if nothing did for long.
    async fn step(&mut self) -> Option<Bytes> {
        let silent_until = self.heard + self.timeouts.between_tokens;
        let comment_at = Instant::now() + self.timeouts.keep_alive;
        let limit = silent_until.min(self.deadline);
        let wake = if self.timeouts.keep_alive.is_zero() { limit } else { limit.min(comment_at) };
        let watchdog = Arc::clone(&self.watchdog);
        match watchdog.within(wake, self.read()).await {
            Ok(Read::Piece(piece)) => {
                if let Err(error) = self.feed(piece) {
                    self.break_off(error);
                }
            }
            Ok(Read::End) => {
                if let Err(error) = self.end() {
                    self.break_off(error);
                }
            }
            Ok(Read::Failed(reason)) => {
                if self.dialect.is_whole() {
                    let _ = self.end();
                } else {
                    let error = self.cut(reason);
                    self.break_off(error);
                }
            }
            Err(Late::Stopping) => self.break_off(ProxyError::Stopping),
            Err(Late::Deadline) if wake == self.deadline => {
                self.break_off(ProxyError::TotalTimeout { after: self.timeouts.total })
            }
            Err(Late::Deadline) if wake == silent_until => {
                let backend = self.backend.name().to_owned();
                self.break_off(ProxyError::BetweenTokensTimeout { backend, after: self.timeouts.between_tokens });
            }
            Err(Late::Deadline) => return Some(KEEP_ALIVE),
        }
        self.settle();
        None
    }

    async fn read(&mut self) -> Read {
        loop {
            let Some(body) = &mut self.body else { return Read::End };
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.heard = Instant::now();
                        return Read::Piece(piece);
                    }
                }
                Some(Err(error)) => return Read::Failed(error.to_string()),
                None => return Read::End,
            }
        }
    }

    fn feed(&mut self, piece: Bytes) -> Result<(), ProxyError> {
        if let Err(error) = self.splitter.push(piece) {
            return Err(ProxyError::BadReply { backend: self.backend.name().to_owned(), reason: error.to_string() });
        }
        while let Some(block) = self.splitter.next() {
            self.take(Frame::read(block))?;
            if self.ending.is_some() {
                break;
            }
        }
        self.time_tokens();
        Ok(())
    }

    /// What came in one piece came at once.
    fn time_tokens(&mut self) {
        let pieces = self.dialect.pieces();
        let before = self.token.map_or(0, |(_, before)| before);
        if pieces == before {
            return;
        }
        if let Some((last, _)) = self.token {
            self.between_tokens.record(self.heard.duration_since(last).as_secs_f64());
        }
        let at_once = usize::try_from(pieces - before - 1).unwrap_or(usize::MAX);
        self.between_tokens.record_many(0.0, at_once);
        self.token = Some((self.heard, pieces));
    }

    fn take(&mut self, frame: Frame) -> Result<(), ProxyError> {
        match self.dialect.frame(frame, &mut self.ready) {
            Verdict::Continue => Ok(()),
            Verdict::Complete => {
                self.ending = Some(Ending::Whole);
                Ok(())
            }
            Verdict::Broken(error) if self.dialect_is_silent() => Err(error),
            Verdict::Broken(error) => {
                self.break_off(error);
                Ok(())
            }
        }
    }

    fn end(&mut self) -> Result<(), ProxyError> {
        // The last event may lack the blank line behind it.
        if let Some(rest) = self.splitter.rest() {
            let frame = Frame::read(rest);
            let whole = |data: &Bytes| serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok();
            if frame.is_done() || frame.error.is_some() || frame.data.as_ref().is_some_and(whole) {
                self.take(Frame { plain: false, ..frame })?;
            }
        }
        if self.ending.is_some() {
            return Ok(());
        }
        match self.dialect.end(&mut self.ready) {
            Verdict::Broken(error) => Err(error),
            Verdict::Complete | Verdict::Continue => {
                self.ending = Some(Ending::Whole);
                Ok(())
            }
        }
    }

    /// Whether nothing but comments has come for the client.
    fn dialect_is_silent(&self) -> bool {
        self.account.is_none() && self.ready.iter().all(|piece| piece.starts_with(b":"))
    }

    fn cut(&self, reason: String) -> ProxyError {
        ProxyError::Disconnected { backend: self.backend.name().to_owned(), reason }
    }

    fn break_off(&mut self, error: ProxyError) {
        self.ready.push_back(self.dialect.failure(&error));
        if error.blames_replica() {
            self.backend.breaker.failed(std::time::Instant::now());
        }
        let asked = self.account.as_ref().and_then(Account::asked);
        if let (Some(body), Some(asked), false) = (self.body.take(), asked, is_cut(&error)) {
            asked.give_up(body);
        }
        self.ending = Some(Ending::Broken(error));
    }

    /// Brings the account up to date, and closes it at the end.
    fn settle(&mut self) {
        let Some(account) = &mut self.account else { return };
        account.tally(self.dialect.tally());
        match &self.ending {
            Some(Ending::Whole) => account.close(self.dialect.outcome()),
            Some(Ending::Broken(error)) => account.close(Outcome::Failed(error.face().code.unwrap_or_default())),
            Some(Ending::Over) | None => {}
        }
    }

    async fn close_upstream(&mut self) {
        if let Some(body) = &mut self.body {
            let _ = timeout(CLOSING, async { while let Some(Ok(_)) = body.frame().await {} }).await;
        }
        self.body = None;
    }
}

/// Whether the backend itself has ended the stream.
fn is_cut(error: &ProxyError) -> bool {
    matches!(error, ProxyError::Disconnected { .. })
}

enum Read {
    Piece(Bytes),
    End,
    Failed(String),
}

fn dialect(job: &Job, backend: &Backend) -> Box<dyn Dialect> {
    let chat = |wants_usage| {
        let is_chat = job.route != Route::Completions;
        Completion::new(backend.name(), backend.kind, is_chat, wants_usage, job.prompt_bytes())
    };
    match job.route {
        Route::Messages if job.is_translated(backend) => {
            let model = job.peek.as_ref().and_then(|peek| peek.model.clone()).unwrap_or_default();
            Box::new(crate::anthropic::Translated::new(chat(true), model))
        }
        Route::Messages | Route::CountTokens => {
            let model = job.peek.as_ref().and_then(|peek| peek.model.as_deref());
            Box::new(Native::messages(backend, job.prompt_bytes(), model))
        }
        Route::Responses => Box::new(Native::responses(backend.name(), job.prompt_bytes())),
        Route::Chat | Route::Completions => Box::new(chat(job.peek.as_ref().is_some_and(|peek| peek.wants_usage))),
        Route::Embeddings | Route::Rerank | Route::Speech | Route::Transcriptions | Route::Images => {
            Box::new(Native::other(backend.name(), job.prompt_bytes()))
        }
    }
}
