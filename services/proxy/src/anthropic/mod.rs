//! Anthropic's messages in OpenAI's words and back, for backends that speak only the latter.

mod answer;
mod count;
mod request;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use answer::from_chat;
pub(crate) use count::count;
pub(crate) use request::to_chat;
pub(crate) use stream::Translated;

/// Anthropic's word for why an answer ended.
fn stop_reason(finish: &str) -> &'static str {
    match finish {
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}
