//! One request's account as it is stored on the bus.

use domain::Time;
use serde::{Deserialize, Serialize};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountOutcome {
    /// The client has the whole answer.
    Completed,
    /// It was answered with an error.
    Failed,
    /// The client left.
    Aborted,
}

/// One request. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// When it ended.
    pub at: Time,
    /// The request's id.
    pub request_id: String,
    /// The key's name; none where no key is asked for.
    pub key: Option<String>,
    /// Under which the key is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The proxy that served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Who is charged.
    pub tenant: String,
    /// The path that was called.
    pub route: String,
    /// The model as the client named it.
    pub model: String,
    /// The backend that answered.
    pub backend: Option<String>,
    /// Tokens of the prompt.
    pub tokens_in: u64,
    /// Tokens of the answer.
    pub tokens_out: u64,
    /// Tokens of the prompt that the backend had in its cache.
    pub tokens_cached: u64,
    /// Whether the backend told them; otherwise they are estimated.
    pub told: bool,
    /// Until the first byte of content.
    pub first_token_ms: Option<u64>,
    /// In all.
    pub total_ms: u64,
    /// How it ended.
    pub outcome: AccountOutcome,
    /// The code of the error, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
