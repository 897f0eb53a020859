//! Answers that come in one piece: checked, counted, and mended where the backend's kind needs it.

use super::job::Job;
use super::open::Opened;
use super::repair::stringify_arguments;
use crate::backends::{self, Repair};
use crate::error::ProxyError;
use crate::json;
use crate::routing::{Backend, Guard, Route};
use crate::usage::{self, Outcome, Tally};
use base64::Engine;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An answer that was read and found good.
pub(crate) struct Read {
    text: Bytes,
    tally: Option<Tally>,
    content_type: Option<HeaderValue>,
}

/// The same, ready to be sent.
pub(crate) struct Whole {
    pub(crate) text: Bytes,
    pub(crate) content_type: Option<HeaderValue>,
}

impl Read {
    /// Text that is not JSON.
    pub(crate) fn plain(text: Bytes) -> Self {
        Self { text, tally: None, content_type: None }
    }

    /// With the type that the backend gave it.
    pub(crate) fn with_type(self, content_type: Option<HeaderValue>) -> Self {
        Self { content_type, ..self }
    }
}

/// Reads a JSON answer with status 200.
pub(crate) fn read(job: &Job, backend: &Backend, text: Bytes) -> Result<Read, ProxyError> {
    let bad = |reason: String| ProxyError::BadReply { backend: backend.name().to_owned(), reason };
    let found = json::find(&text, ["usage", "error", "object", "type"]).map_err(|error| bad(error.to_string()))?;
    let [usage, error, object, kind] = found;
    let says = |place: &Option<std::ops::Range<usize>>| place.clone().is_some_and(|place| &text[place] == b"\"error\"");
    if says(&object) || says(&kind) || error.is_some_and(|place| &text[place] != b"null") {
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let status = backends::inside_success(&value).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Err(ProxyError::Upstream(Box::new(backends::read_refusal(backend.name(), status, &text, None))));
    }
    let tally = usage.and_then(|place| usage::read(&text[place]));
    let text = change(job, backend, text).map_err(bad)?;
    Ok(Read { text, tally, content_type: None })
}

/// Closes the account and lets go of everything: the answer is whole.
pub(crate) fn finish(mut job: Job, answer: Read, backend: &Backend, held: Vec<Guard>) -> Opened {
    let estimated = || Tally {
        tokens_in: usage::estimate(job.prompt_bytes()),
        tokens_out: if matches!(job.route, Route::Embeddings | Route::Rerank) {
            0
        } else {
            usage::estimate(answer.text.len())
        },
        ..Tally::default()
    };
    // Who only counts uses no tokens.
    let counted = (job.route == Route::CountTokens).then(|| Tally { told: true, ..Tally::default() });
    let tally = counted.or(answer.tally).unwrap_or_else(estimated);
    job.account.backend(backend);
    job.account.tally(tally);
    job.account.first_token();
    job.account.close(Outcome::Completed);
    drop(held);
    Opened::Whole(Whole { text: answer.text, content_type: answer.content_type })
}

fn change(job: &Job, backend: &Backend, text: Bytes) -> Result<Bytes, String> {
    if job.is_translated(backend) {
        let model = job.peek.as_ref().and_then(|peek| peek.model.clone()).unwrap_or_default();
        return crate::anthropic::from_chat(&text, &model);
    }
    let wants_text = job.peek.as_ref().is_some_and(|peek| peek.encoding.as_deref() == Some("base64"));
    match job.route {
        Route::Embeddings if wants_text => as_base64(text),
        Route::Chat if memchr::memmem::find(&text, b"\"tool_calls\"").is_some() => mend_calls(backend, text),
        Route::Chat
        | Route::Completions
        | Route::Embeddings
        | Route::Messages
        | Route::CountTokens
        | Route::Responses
        | Route::Rerank
        | Route::Speech
        | Route::Transcriptions
        | Route::Images => Ok(text),
    }
}

/// Embeddings as the client asked for them: little-endian 32-bit floats in base64.
fn as_base64(text: Bytes) -> Result<Bytes, String> {
    let mut value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let mut changed = false;
    for entry in value["data"].as_array_mut().into_iter().flatten() {
        if let Some(numbers) = entry["embedding"].as_array() {
            let floats = numbers.iter().map(|number| number.as_f64().map(|number| number as f32));
            let bytes: Option<Vec<u8>> =
                floats.map(|float| float.map(f32::to_le_bytes)).collect::<Option<Vec<_>>>().map(|all| all.concat());
            let bytes = bytes.ok_or("an embedding holds something that is no number")?;
            entry["embedding"] = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
            changed = true;
        }
    }
    Ok(if changed { value.to_string().into() } else { text })
}

fn mend_calls(backend: &Backend, text: Bytes) -> Result<Bytes, String> {
    let mut value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let before = value.clone();
    for choice in value["choices"].as_array_mut().into_iter().flatten() {
        let mut any = false;
        for call in choice["message"]["tool_calls"].as_array_mut().into_iter().flatten() {
            any = true;
            if let Some(function) = call["function"].as_object_mut()
                && backend.kind.needs(Repair::ToolArguments)
            {
                stringify_arguments(function);
            }
        }
        if any && choice["finish_reason"] == "stop" && backend.kind.needs(Repair::ToolFinish) {
            choice["finish_reason"] = json!("tool_calls");
        }
    }
    Ok(if value == before { text } else { value.to_string().into() })
}

/// The events of an answer that came whole although a stream was asked for.
pub(crate) fn as_events(job: &Job, backend: &Backend, text: &[u8]) -> Result<Bytes, ProxyError> {
    let bad = |reason: &str| ProxyError::BadReply { backend: backend.name().to_owned(), reason: reason.to_owned() };
    let value: Value = serde_json::from_slice(text).map_err(|error| bad(&error.to_string()))?;
    if let Some(status) = backends::inside_success(&value) {
        return Err(ProxyError::Upstream(Box::new(backends::read_refusal(backend.name(), status, text, None))));
    }
    let is_chat = job.route == Route::Chat || job.is_translated(backend);
    if !is_chat && job.route != Route::Completions {
        return Err(bad("a whole answer where a stream was asked for"));
    }
    let choices = value["choices"].as_array().filter(|choices| !choices.is_empty()).ok_or_else(|| bad("no choices"))?;
    let object = if is_chat { "chat.completion.chunk" } else { "text_completion" };
    let mut events = Vec::new();
    let mut push = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({"id": value["id"], "object": object, "created": value["created"], "model": value["model"], "choices": choices});
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        events.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    };
    for choice in choices {
        let mut piece = json!({"index": choice["index"].as_u64().unwrap_or(0), "finish_reason": null});
        if is_chat {
            piece["delta"] = delta_of(&choice["message"]);
        } else {
            piece["text"] = choice["text"].clone();
        }
        push(json!([piece]), None);
        let mut last = json!({"index": piece["index"], "finish_reason": choice["finish_reason"]});
        if is_chat {
            last["delta"] = json!({});
        } else {
            last["text"] = json!("");
        }
        push(json!([last]), None);
    }
    if value["usage"].is_object() {
        push(json!([]), Some(&value["usage"]));
    }
    events.extend_from_slice(b"data: [DONE]\n\n");
    Ok(events.into())
}

fn delta_of(message: &Value) -> Value {
    let mut delta = message.clone();
    for (index, call) in delta["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
        call["index"] = json!(index);
    }
    if delta["tool_calls"].is_null()
        && let Some(delta) = delta.as_object_mut()
    {
        delta.shift_remove("tool_calls");
    }
    delta
}
