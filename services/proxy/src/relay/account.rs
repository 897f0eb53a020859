//! The account of one request: opened when it is taken, closed once, however it ends.

use crate::usage::{Outcome, SharedSink, Tally, Usage};
use crate::{metrics, trace};
use std::time::Instant;
use tracing::Span;

/// Dropping it unclosed means that the client left.
pub(crate) struct Account {
    sink: SharedSink,
    usage: Option<Usage>,
    begun: Instant,
    span: Span,
    charge: Option<Box<dyn FnOnce(u64) + Send + Sync>>,
}

/// Who served whom.
pub(crate) struct Who {
    pub(crate) proxy: String,
    pub(crate) key: Option<String>,
    pub(crate) key_id: Option<String>,
    pub(crate) tenant: String,
}

impl Account {
    /// Opens it.
    pub(crate) fn open(sink: SharedSink, request_id: String, who: Who, route: &'static str, span: Span) -> Self {
        let Who { proxy, key, key_id, tenant } = who;
        let usage = Usage {
            request_id,
            proxy,
            key,
            key_id,
            tenant,
            route,
            model: String::new(),
            backend: None,
            tally: Tally::default(),
            first_token: None,
            total: std::time::Duration::ZERO,
            outcome: Outcome::Aborted,
        };
        Self { sink, usage: Some(usage), begun: Instant::now(), span, charge: None }
    }

    /// Whoever must know how many tokens were used.
    pub(crate) fn charge_to(&mut self, charge: impl FnOnce(u64) + Send + Sync + 'static) {
        self.charge = Some(Box::new(charge));
    }

    /// When the request was taken.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Names the model.
    pub(crate) fn model(&mut self, model: &str) {
        self.edit(|usage| model.clone_into(&mut usage.model));
    }

    /// Names the backend that answers.
    pub(crate) fn backend(&mut self, backend: &str) {
        self.edit(|usage| usage.backend = Some(backend.to_owned()));
    }

    /// The first content came.
    pub(crate) fn first_token(&mut self) {
        let since = self.begun.elapsed();
        self.edit(|usage| usage.first_token = usage.first_token.or(Some(since)));
    }

    /// Tokens so far.
    pub(crate) fn tally(&mut self, tally: Tally) {
        self.edit(|usage| usage.tally = tally);
    }

    /// Ends it.
    pub(crate) fn close(&mut self, outcome: Outcome) {
        if let Some(mut usage) = self.usage.take() {
            usage.outcome = outcome;
            usage.total = self.begun.elapsed();
            if let Some(charge) = self.charge.take() {
                charge(usage.tally.tokens_in + usage.tally.tokens_out);
            }
            metrics::ended(&usage);
            trace::end(&self.span, &usage);
            tracing::info!(
                target: "chat_api.http",
                request_id = usage.request_id, key = usage.key, tenant = usage.tenant, route = usage.route,
                model = usage.model, backend = usage.backend, tokens_in = usage.tally.tokens_in,
                tokens_out = usage.tally.tokens_out, first_token_ms = usage.first_token.map(|time| time.as_millis() as u64),
                total_ms = usage.total.as_millis() as u64, outcome = ?usage.outcome, "request ended"
            );
            self.sink.record(usage);
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
