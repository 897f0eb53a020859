//! What a request used, for whoever keeps the accounts.

use crate::json;
use std::ops::Range;
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

impl Outcome {
    /// The word for logs and metrics: that of the error, if it was one.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Completed => "completed",
            Self::Aborted => "aborted",
            Self::Failed(code) => code,
        }
    }
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

/// Reads a `usage` object of either protocol; without a number of tokens in it there is none.
pub(crate) fn read(text: &[u8]) -> Option<Tally> {
    const KEYS: [&str; 7] = [
        "prompt_tokens",
        "input_tokens",
        "completion_tokens",
        "output_tokens",
        "prompt_tokens_details",
        "input_tokens_details",
        "cache_read_input_tokens",
    ];
    let places = json::find(text, KEYS).ok()?;
    let [prompt, input, completion, output, ..] = places.each_ref().map(|place| number(text.get(place.clone()?)?));
    let [.., prompt_details, input_details, cache_read] = places;
    let (tokens_in, tokens_out) = (prompt.or(input), completion.or(output));
    if tokens_in.is_none() && tokens_out.is_none() {
        return None;
    }
    let cached = |details: Option<Range<usize>>| {
        let details = text.get(details?)?;
        let [cached] = json::find(details, ["cached_tokens"]).ok()?;
        number(details.get(cached?)?)
    };
    let cached = cached(prompt_details).or_else(|| cached(input_details)).or_else(|| number(text.get(cache_read?)?));
    Some(Tally {
        tokens_in: tokens_in.unwrap_or(0),
        tokens_out: tokens_out.unwrap_or(0),
        tokens_cached: cached.unwrap_or(0),
        told: true,
    })
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_in_the_words_of_either_protocol_and_what_is_no_number_counts_for_nothing() {
        let told =
            |tokens_in, tokens_out, tokens_cached| Some(Tally { tokens_in, tokens_out, tokens_cached, told: true });
        for (text, tally) in [
            (r#"{"prompt_tokens": 3, "completion_tokens":2,"total_tokens":5}"#, told(3, 2, 0)),
            (r#"{"prompt_tokens":3,"prompt_tokens_details":{"audio_tokens":9,"cached_tokens":1}}"#, told(3, 0, 1)),
            (r#"{"input_tokens":7,"output_tokens":4,"cache_read_input_tokens":6}"#, told(7, 4, 6)),
            (r#"{"input_tokens":7,"input_tokens_details":{"cached_tokens":5},"output_tokens":null}"#, told(7, 0, 5)),
            (r#"{"prompt_tokens":null,"input_tokens":2,"prompt_tokens_details":null}"#, told(2, 0, 0)),
            (r#"{"total_tokens":5}"#, None),
            (r#"{"prompt_tokens":"3"}"#, None),
            ("null", None),
            ("[1]", None),
        ] {
            assert_eq!(read(text.as_bytes()), tally, "{text}");
        }
    }
}
