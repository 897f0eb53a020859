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

/// Which of the client's texts ended an answer, as servers that tell it name it.
fn stop_sequence(choice: &serde_json::Value) -> Option<&str> {
    choice["stop_reason"].as_str().or_else(|| choice["matched_stop"].as_str())
}

/// Anthropic's word for why an answer ended.
fn stop_reason(finish: &str, sequence: Option<&str>) -> &'static str {
    match finish {
        "stop" if sequence.is_some() => "stop_sequence",
        "stop_sequence" => "stop_sequence",
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}
