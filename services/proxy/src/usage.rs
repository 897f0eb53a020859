//! What a request used, for whoever keeps the accounts.

use std::sync::Arc;
use std::time::Duration;

/// Tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// In the prompt.
    pub tokens_in: u64,
    /// In the answer.
    pub tokens_out: u64,
    /// Of the prompt, those that the backend had in its cache.
    pub tokens_cached: u64,
    /// Whether the backend told them; otherwise they are estimated from what was sent.
    pub told: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "code")]
pub enum Outcome {
    /// The client has the whole answer.
    Completed,
    /// An error was sent; its code.
    Failed(String),
    /// The client left before the end.
    Aborted,
}

/// One request's account.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Usage {
    /// The request's id.
    pub request_id: Arc<str>,
    /// The proxy that served it, among others on the same broker.
    pub proxy: Arc<str>,
    /// The key's name, or none where no key is asked for.
    pub key: Option<Arc<str>>,
    /// Under which the key is counted; a key that is made anew under an old name has another.
    pub key_id: Option<Arc<str>>,
    /// Who is charged.
    pub tenant: Arc<str>,
    /// The path that was called.
    pub route: &'static str,
    /// The model as the client named it.
    pub model: Arc<str>,
    /// The backend that answered, if one did.
    pub backend: Option<Arc<str>>,
    /// Its kind, as `BACKEND_KIND` names it.
    pub provider: Option<&'static str>,
    /// Whether the answer is a stream.
    pub streamed: bool,
    /// Tokens.
    pub tally: Tally,
    /// Until the first byte of the answer's content, if any came.
    pub first_token: Option<Duration>,
    /// From the request to the end.
    pub total: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// Takes accounts in. Called once a request, also for those that failed or were left; it must not block.
pub trait UsageSink: Send + Sync {
    /// Keeps or sends one account.
    fn record(&self, usage: Usage);
}

/// A sink that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl UsageSink for Discard {
    fn record(&self, _: Usage) {}
}

/// The sink of a proxy, shared.
pub type SharedSink = Arc<dyn UsageSink>;

/// The number of tokens in so many bytes of text, when nobody counts them.
pub(crate) fn estimate(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

/// Reads a `usage` object of either protocol.
pub(crate) fn read(usage: &serde_json::Value) -> Option<Tally> {
    let number = |paths: &[&str]| paths.iter().find_map(|path| usage.pointer(path)?.as_u64());
    let tokens_in = number(&["/prompt_tokens", "/input_tokens"]);
    let tokens_out = number(&["/completion_tokens", "/output_tokens"]);
    if tokens_in.is_none() && tokens_out.is_none() {
        return None;
    }
    let cached =
        ["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens", "/cache_read_input_tokens"];
    Some(Tally {
        tokens_in: tokens_in.unwrap_or(0),
        tokens_out: tokens_out.unwrap_or(0),
        tokens_cached: number(&cached).unwrap_or(0),
        told: true,
    })
}
