//! Handles of one model's metrics: looked up by their labels once, not for every request.

use super::{BETWEEN_TOKENS, DURATION, FIRST_TOKEN, OVERHEAD, QUEUE, REQUESTS, TOKENS};
use crate::usage::Usage;
use metrics::{Counter, Histogram, counter, histogram};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What is written for requests of one model.
#[derive(Debug)]
pub(crate) struct Meters {
    model: Arc<str>,
    queue: OnceLock<Histogram>,
    overhead: OnceLock<Histogram>,
    first_token: OnceLock<Histogram>,
    between_tokens: OnceLock<Histogram>,
    tokens: OnceLock<[Counter; 2]>,
    /// As many as there are routes and backends of the model.
    completed: Mutex<Vec<Completed>>,
}

/// Requests that one route brought and one backend served.
#[derive(Clone, Debug)]
struct Completed {
    route: &'static str,
    backend: Arc<str>,
    requests: Counter,
    duration: Histogram,
}

impl Meters {
    /// Those of the model of that name.
    pub(crate) fn of(model: &str) -> Self {
        Self {
            model: model.into(),
            queue: OnceLock::new(),
            overhead: OnceLock::new(),
            first_token: OnceLock::new(),
            between_tokens: OnceLock::new(),
            tokens: OnceLock::new(),
            completed: Mutex::default(),
        }
    }

    /// The model's name.
    pub(crate) fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// Seconds in its queue.
    pub(crate) fn queue(&self) -> &Histogram {
        self.queue.get_or_init(|| self.histogram(QUEUE))
    }

    /// Seconds that the proxy itself took.
    pub(crate) fn overhead(&self) -> &Histogram {
        self.overhead.get_or_init(|| histogram!(OVERHEAD))
    }

    /// Seconds between pieces of content; for whoever records many of them.
    pub(crate) fn between_tokens(&self) -> Histogram {
        self.between_tokens.get_or_init(|| self.histogram(BETWEEN_TOKENS)).clone()
    }

    /// Counts a request that is complete.
    pub(super) fn completed(&self, usage: &Usage, backend: &Arc<str>) {
        let Completed { requests, duration, .. } = self.served_by(usage.route, backend);
        requests.increment(1);
        duration.record(usage.total.as_secs_f64());
        if let Some(first) = usage.first_token {
            self.first_token.get_or_init(|| self.histogram(FIRST_TOKEN)).record(first.as_secs_f64());
        }
        let [tokens_in, tokens_out] = self.tokens.get_or_init(|| ["in", "out"].map(|way| self.counter(way)));
        tokens_in.increment(usage.tally.tokens_in);
        tokens_out.increment(usage.tally.tokens_out);
    }

    fn served_by(&self, route: &'static str, backend: &Arc<str>) -> Completed {
        let mut all = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|one| one.route == route && one.backend == *backend) {
            return known.clone();
        }
        let requests = counter!(
            REQUESTS, "route" => route, "model" => self.label(), "backend" => backend.to_string(), "outcome" => "completed"
        );
        let duration = histogram!(DURATION, "route" => route, "model" => self.label());
        let new = Completed { route, backend: Arc::clone(backend), requests, duration };
        all.push(new.clone());
        new
    }

    fn histogram(&self, name: &'static str) -> Histogram {
        histogram!(name, "model" => self.label())
    }

    fn counter(&self, way: &'static str) -> Counter {
        counter!(TOKENS, "model" => self.label(), "direction" => way)
    }

    fn label(&self) -> String {
        self.model.to_string()
    }
}
