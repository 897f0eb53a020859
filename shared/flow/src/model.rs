//! The OpenAI chat-completions form of a model call: the request that is sent and the result that is recorded.

mod request;
mod response;

pub use request::{Defaults, request_body};
pub use response::{ModelError, TRUNCATION_TRIES, larger_request, result_from_response};
