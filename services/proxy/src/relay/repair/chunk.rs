//! The members of a chunk that decide whether it may pass.

use crate::usage::{self, Tally};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A chunk, read without copying.
#[derive(Debug, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// One choice of it.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) finish_reason: Option<Option<Cow<'a, str>>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Option<&'a RawValue>,
}

/// What a choice adds.
#[derive(Debug, Deserialize)]
pub(super) struct Delta<'a> {
    /// Outer: whether the key is there. Inner: whether it is null.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) role: Option<Option<Cow<'a, str>>>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
}

/// A piece of a tool call.
#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
}

/// The function that it calls.
#[derive(Debug, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

/// Tells a null from a key that is not there.
fn present<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(from).map(Some)
}

impl<'a> Chunk<'a> {
    /// The chunk in that text, if it is one.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    /// Whether it is an error in truth.
    pub(crate) fn is_error(&self) -> bool {
        self.error.is_some_and(|error| error.get() != "null") || self.object.as_deref() == Some("error")
    }

    /// What it tells of tokens, unless that is all zeros.
    pub(crate) fn usage(&self) -> Option<Tally> {
        let raw = self.usage.filter(|usage| usage.get() != "null")?;
        usage::read(raw.get().as_bytes()).filter(|tally| tally.tokens_in + tally.tokens_out > 0)
    }

    /// Whether it has a usage of zeros, which tells nothing.
    pub(super) fn has_zero_usage(&self) -> bool {
        self.usage.is_some_and(|usage| usage.get() != "null") && self.usage().is_none()
    }

    /// Whether it carries usage and nothing else.
    pub(crate) fn is_usage_only(&self) -> bool {
        self.usage.is_some_and(|usage| usage.get() != "null") && self.choices.as_ref().is_none_or(Vec::is_empty)
    }

    /// Pieces of content in it: about as many tokens.
    pub(crate) fn pieces(&self) -> u64 {
        let full = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\""));
        let of = |choice: &Choice<'_>| {
            full(choice.text)
                || choice.delta.as_ref().is_some_and(|delta| {
                    full(delta.content)
                        || full(delta.reasoning_content)
                        || full(delta.reasoning)
                        || delta.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
                })
        };
        self.choices.iter().flatten().filter(|choice| of(choice)).count() as u64
    }

    /// Whether everything around the choices is there.
    pub(super) fn has_envelope(&self, object: &str) -> bool {
        self.id.is_some()
            && self.created.is_some()
            && self.model.is_some()
            && self.choices.is_some()
            && self.object.as_deref() == Some(object)
    }
}
