//! The account of one request: opened when it is taken, closed once, however it ends.

use super::parting::Asked;
use crate::error::ProxyError;
use crate::overflow::is_deferrable;
use crate::routing::{Backend, Model, Route};
use crate::usage::{Outcome, SharedSink, Tally, Usage};
use crate::{metrics, trace};
use http::StatusCode;
use std::sync::Arc;
use std::time::Instant;
use tracing::Span;

/// Of a request whose client left before its answer began, in the log alone: nobody was told any status.
const LEFT_BEFORE: u16 = 499;

/// Dropping it unclosed means that the client left.
pub(crate) struct Account {
    sink: SharedSink,
    usage: Option<Box<Usage>>,
    model: Option<Arc<Model>>,
    begun: Instant,
    operation: &'static str,
    span: Span,
    charge: Option<Box<dyn FnOnce(u64) + Send + Sync>>,
    /// Whether the request becomes a job where nobody can serve it now.
    defers: bool,
    /// The backend that has it, if that must be told when the client leaves.
    asked: Option<Arc<Asked>>,
    /// What its client was told, and why if that was an error.
    told: (u16, Option<String>),
}

/// Who served whom.
pub(crate) struct Who {
    pub(crate) proxy: Arc<str>,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) key_id: Option<Arc<str>>,
    pub(crate) tenant: Arc<str>,
}

impl Account {
    /// Opens it.
    pub(crate) fn open(sink: SharedSink, request_id: Arc<str>, who: Who, route: Route, span: Span) -> Self {
        let Who { proxy, key, key_id, tenant } = who;
        let usage = Usage {
            request_id,
            proxy,
            key,
            key_id,
            tenant,
            route: route.path(),
            model: Arc::default(),
            backend: None,
            provider: None,
            streamed: false,
            tally: Tally::default(),
            first_token: None,
            total: std::time::Duration::ZERO,
            outcome: Outcome::Aborted,
        };
        let (begun, operation) = (Instant::now(), route.operation());
        Self {
            sink,
            usage: Some(Box::new(usage)),
            model: None,
            begun,
            operation,
            span,
            charge: None,
            defers: false,
            asked: None,
            told: (StatusCode::OK.as_u16(), None),
        }
    }

    /// Whoever must know how many tokens were used.
    pub(crate) fn charge_to(&mut self, charge: impl FnOnce(u64) + Send + Sync + 'static) {
        self.charge = Some(Box::new(charge));
    }

    /// The request becomes a job where nobody can serve it now.
    pub(crate) fn defer(&mut self) {
        self.defers = true;
    }

    /// The backend that has it now; its end is that of the account. True if that is news.
    pub(crate) fn asks(&mut self, asked: Option<&Arc<Asked>>) -> bool {
        let changed = asked.is_some() || self.asked.is_some();
        self.asked = asked.map(Arc::clone);
        changed
    }

    /// The same backend.
    pub(crate) fn asked(&self) -> Option<&Arc<Asked>> {
        self.asked.as_ref()
    }

    /// Whether the client has left and only the backend has not done with the request.
    pub(crate) fn has_left(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.has_left())
    }

    /// Ends it with that error.
    pub(crate) fn fail(&mut self, error: &ProxyError) {
        let deferred = self.defers && is_deferrable(error);
        let face = error.face();
        let (status, code) =
            if deferred { (StatusCode::ACCEPTED, Some("deferred".to_owned())) } else { (face.status, face.code) };
        self.told = (status.as_u16(), Some(error.to_string()));
        self.close(Outcome::Failed(code.unwrap_or_default()));
    }

    /// The request's id; none once it is closed.
    pub(crate) fn request_id(&self) -> &str {
        self.usage.as_ref().map_or("", |usage| &usage.request_id)
    }

    /// When the request was taken.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Names the model.
    pub(crate) fn model(&mut self, model: &Arc<Model>) {
        self.edit(|usage| usage.model = Arc::clone(model.meters.model()));
        self.model = Some(Arc::clone(model));
    }

    /// Names the backend that answers.
    pub(crate) fn backend(&mut self, backend: &Backend) {
        self.edit(|usage| {
            usage.backend = Some(backend.shared_name());
            usage.provider = Some(backend.kind.name);
        });
    }

    /// The first content came.
    pub(crate) fn first_token(&mut self) {
        let since = self.begun.elapsed();
        self.edit(|usage| usage.first_token = usage.first_token.or(Some(since)));
    }

    /// The answer is a stream.
    pub(crate) fn streams(&mut self) {
        self.edit(|usage| usage.streamed = true);
    }

    /// Tokens so far.
    pub(crate) fn tally(&mut self, tally: Tally) {
        self.edit(|usage| usage.tally = tally);
    }

    /// Ends it; as aborted, if the client did not see that end.
    pub(crate) fn close(&mut self, outcome: Outcome) {
        if let Some(mut usage) = self.usage.take() {
            usage.outcome = if self.has_left() { Outcome::Aborted } else { outcome };
            if usage.outcome == Outcome::Aborted && usage.first_token.is_none() {
                self.told.0 = LEFT_BEFORE;
            }
            if let Some(asked) = &self.asked {
                asked.ends();
            }
            usage.total = self.begun.elapsed();
            if let Some(charge) = self.charge.take() {
                charge(usage.tally.tokens_in + usage.tally.tokens_out);
            }
            metrics::ended(&usage, self.model.as_deref().map(|model| &model.meters));
            trace::end(&self.span, self.operation, &usage);
            tracing::info!(
                target: "chat_api.http",
                request_id = &*usage.request_id, method = "POST", path = usage.route, status = self.told.0,
                key = usage.key.as_deref(), tenant = &*usage.tenant, error = self.told.1.as_deref(), model = &*usage.model, backend = usage.backend.as_deref(), tokens_in = usage.tally.tokens_in,
                tokens_out = usage.tally.tokens_out, first_token_ms = usage.first_token.map(|time| time.as_millis() as u64),
                total_ms = usage.total.as_millis() as u64, outcome = usage.outcome.word(), "request ended"
            );
            self.sink.record(*usage);
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut Usage)) {
        if let Some(usage) = &mut self.usage {
            change(usage);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close(Outcome::Aborted);
    }
}
