//! One request that has been let in, with everything that is needed to serve it.

use super::account::Account;
use super::client::Upstream;
use super::parting::{Asked, Partings, Rule};
use super::watchdog::{Watch, Watchdog};
use crate::backends::{Abort, OnDisconnect};
use crate::config::{Bounds, Timeouts};
use crate::error::ProxyError;
use crate::form::Form;
use crate::json::{Change, Edit, Peek, Pieces, find};
use crate::overflow::Hold;
use crate::routing::{Backend, Fleet, Guard, Model, Rank, Replica, Route, Ticket};
use crate::seats::{Stage, Want};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A deferred job stands in this proxy's line for so long before others may have it.
const LINE: Duration = Duration::from_secs(30);
/// The priority of jobs that name none, which requests have too.
const USUAL_PRIORITY: i32 = 3;

/// A request on its way. Dropping it at any point lets go of everything, the backend's connection included.
pub(crate) struct Job {
    pub(crate) route: Route,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) upstream: Upstream,
    pub(crate) timeouts: Timeouts,
    pub(crate) bounds: Bounds,
    pub(crate) model: Arc<Model>,
    pub(crate) rank: Rank,
    /// The headers that go on to a backend.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// None for a body that is not JSON.
    pub(crate) peek: Option<Peek>,
    /// None for a body that is no form.
    pub(crate) form: Option<Form>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) partings: Arc<Partings>,
    pub(crate) account: Account,
    pub(crate) deadline: Instant,
    /// What the key and the limits hold for this request. Goes before the ticket.
    pub(crate) held: Vec<Guard>,
    pub(crate) ticket: Ticket,
    /// What it waits for.
    pub(crate) stage: Arc<Stage>,
    /// Until when it waits for a place and for a service, for clients that would rather have it as a job then.
    pub(crate) line_until: Option<Instant>,
    /// The deferred job that it performs; each attempt is announced there first.
    pub(crate) hold: Option<Arc<Hold>>,
}

impl Job {
    /// Whether the client wants events.
    pub(crate) fn is_stream(&self) -> bool {
        self.peek.as_ref().is_some_and(|peek| peek.stream)
    }

    /// How long it waits in the queue of the model that is asked.
    pub(crate) fn queue_patience(&self) -> Duration {
        let usual = self.timeouts.queue;
        self.patience(if self.hold.is_some() { usual.min(LINE) } else { usual })
    }

    /// Takes the times of a fallback that is asked in the model's place. What the request may take in all stays that of
    /// the model that it names.
    pub(crate) fn turn_to(&mut self, fallback: &Model) {
        self.timeouts = Timeouts { total: self.timeouts.total, ..fallback.timeouts };
        self.upstream = self.upstream.within(self.timeouts.connect);
    }

    /// How much of that patience there is.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        self.line_until.map_or(usual, |until| usual.min(until.saturating_duration_since(Instant::now())))
    }

    /// What it brings to a service that is started on demand. Keys count urgency upwards from 0, jobs downwards from 3.
    pub(crate) fn want(&self, model: &Model) -> Want<'_> {
        Want {
            priority: USUAL_PRIORITY.saturating_sub(self.rank.priority),
            most_waiting: model.most_waiting,
            patience: self.patience(self.timeouts.start),
            stage: &self.stage,
            ticket: &self.ticket,
        }
    }

    /// Who drops the answer when its client stands still: it must take a piece in the longest time in which a backend
    /// may be silent.
    pub(crate) fn watch(&self) -> Watch {
        let fallbacks = self.model.fallbacks.iter().filter_map(|name| self.fleet.resolve(Some(name)).ok());
        let silence = fallbacks.map(|model| model.timeouts.between_tokens).max();
        let silence = silence.unwrap_or_default().max(self.timeouts.between_tokens);
        let patience = silence + self.timeouts.keep_alive;
        let (watchdog, stage) = (Arc::clone(&self.watchdog), Arc::clone(&self.stage));
        Watch { watchdog, patience, deadline: self.deadline.into_std(), stage }
    }

    /// Notes that this backend is asked from here on; none where closing its connection is enough when the client leaves.
    pub(crate) fn asks(&mut self, backend: &Arc<Backend>) -> Option<Arc<Asked>> {
        let rule = match backend.on_disconnect() {
            OnDisconnect::Propagate => None,
            OnDisconnect::Drain => Some(Rule::Drain),
            OnDisconnect::Abort(how) => self.abort_by(how, backend),
        };
        let most_bytes = self.bounds.answer_bytes;
        let asked = rule.map(|rule| Asked::new(backend, rule, &self.upstream, &self.partings, most_bytes));
        if self.account.asks(asked.as_ref()) {
            self.stage.asks(asked.clone());
        }
        asked
    }

    /// How this request can be aborted: an id is for one answer to one prompt, and not for requests that have one already.
    fn abort_by(&self, how: &'static Abort, backend: &Backend) -> Option<Rule> {
        if !self.is_translated(backend) {
            if !matches!(self.route, Route::Chat | Route::Completions) {
                return None;
            }
            let [id, many, prompt] = find(&self.body, [how.id, "n", "prompt"]).ok()?;
            let is_one = many.is_none_or(|place| matches!(&self.body[place], b"1" | b"null"));
            let is_text = prompt.is_none_or(|place| self.body[place.start] == b'"');
            if id.is_some() || !is_one || !is_text {
                return None;
            }
        }
        Some(Rule::Abort(how, uuid::Uuid::new_v4().simple().to_string()))
    }

    /// A number for the beginning of the prompt.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        let place = self.peek.as_ref()?.prompt.clone()?;
        Some(crate::routing::fingerprint(&self.body[place]))
    }

    /// Bytes of the prompt.
    pub(crate) fn prompt_bytes(&self) -> usize {
        self.peek.as_ref().and_then(|peek| peek.prompt.clone()).map_or(0, |place| place.len())
    }

    /// Whether the Anthropic request must be put into OpenAI's words for that backend.
    pub(crate) fn is_translated(&self, backend: &Backend) -> bool {
        self.route.is_anthropic() && !backend.can(self.route.needs())
    }

    /// The client's body with as little changed as that replica needs.
    pub(crate) fn body_for(&self, replica: &Replica, asked: Option<&Asked>) -> Result<Pieces, ProxyError> {
        let id = asked.and_then(Asked::id);
        let Some(peek) = &self.peek else {
            return Ok(self.form_for(replica));
        };
        if self.is_translated(&replica.backend) {
            let model = replica.upstream_name.as_deref().or(peek.model.as_deref());
            let text = crate::anthropic::to_chat(&self.body, model, replica.backend.kind.usage_option)?;
            let named = id.map(|(member, id)| Edit { place: 1..1, with: format!("\"{member}\":\"{id}\",").into() });
            return Ok(Pieces::spliced(&text, named.into_iter().collect()));
        }
        Ok(Pieces::spliced(&self.body, self.edits(peek, replica, id)))
    }

    /// The client's form, with the model as that replica names it.
    fn form_for(&self, replica: &Replica) -> Pieces {
        let Some(form) = &self.form else { return Pieces::whole(self.body.clone()) };
        match replica.upstream_name.as_deref().filter(|name| form.model(&self.body).as_deref() != Some(*name)) {
            Some(name) => form.with_model(&self.body, name),
            None => Pieces::whole(self.body.clone()),
        }
    }

    fn edits(&self, peek: &Peek, replica: &Replica, id: Option<(&str, &str)>) -> Vec<Edit> {
        let kind = replica.backend.kind;
        peek.edits(&Change {
            model: replica.upstream_name.as_deref().filter(|name| peek.model.as_deref() != Some(name)),
            ask_usage: matches!(self.route, Route::Chat | Route::Completions) && peek.stream && kind.usage_option,
            ask_floats: self.route == Route::Embeddings && kind.floats_only,
            id,
        })
    }
}
