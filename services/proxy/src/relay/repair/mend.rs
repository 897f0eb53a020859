//! Decides whether a chunk keeps the contract, and mends the ones that do not.

use super::chunk::Chunk;
use super::state::State;
use crate::backends::{Kind, Repair};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Choices that one answer may have.
const CHOICES: usize = 128;

/// What is known of one answer.
pub(crate) struct Mender {
    kind: &'static Kind,
    chat: bool,
    first: Map<String, Value>,
    choices: BTreeMap<u32, State>,
}

/// What has to be done to a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
struct Faults {
    envelope: bool,
    zero_usage: bool,
    choice: bool,
}

impl Mender {
    /// For one answer of such a backend.
    pub(crate) fn new(kind: &'static Kind, chat: bool) -> Self {
        Self { kind, chat, first: Map::new(), choices: BTreeMap::new() }
    }

    /// Whether a choice has its finish reason.
    pub(crate) fn any_finished(&self) -> bool {
        self.choices.values().any(|state| state.finished)
    }

    /// Whether every choice that was begun has its finish reason.
    pub(crate) fn all_finished(&self) -> bool {
        self.any_finished() && self.choices.values().all(|state| state.finished)
    }

    /// The chunk as the client shall see it; the very same bytes if nothing had to change, none if it says nothing.
    pub(crate) fn pass(&mut self, chunk: &Chunk<'_>, data: &Bytes) -> Result<Option<Bytes>, String> {
        let faults = self.judge(chunk)?;
        if faults == Faults::default() {
            return Ok(Some(data.clone()));
        }
        let mut value: Map<String, Value> = serde_json::from_slice(data).map_err(|error| error.to_string())?;
        if faults.zero_usage {
            value.shift_remove("usage");
        }
        if faults.envelope {
            self.fill(&mut value);
        }
        let had_choices = value.get("choices").and_then(Value::as_array).is_some_and(|choices| !choices.is_empty());
        if faults.choice
            && let Some(Value::Array(choices)) = value.get_mut("choices")
        {
            choices.retain_mut(|choice| self.mend(choice));
        }
        let empty = value.get("choices").and_then(Value::as_array).is_none_or(Vec::is_empty);
        // Nothing is left of it: a second finish, or a usage of zeros alone.
        if empty && (had_choices || faults.zero_usage) && !value.get("usage").is_some_and(Value::is_object) {
            return Ok(None);
        }
        Ok(Some(Value::Object(value).to_string().into()))
    }

    fn judge(&mut self, chunk: &Chunk<'_>) -> Result<Faults, String> {
        let object = if self.chat { "chat.completion.chunk" } else { "text_completion" };
        let mut faults = Faults {
            envelope: self.kind.needs(Repair::Envelope) && !chunk.has_envelope(object),
            zero_usage: self.kind.needs(Repair::ZeroUsage) && chunk.has_zero_usage(),
            choice: false,
        };
        for choice in chunk.choices.iter().flatten() {
            if self.choices.len() >= CHOICES && !self.choices.contains_key(&choice.index.unwrap_or(0)) {
                return Err(format!("it has more than {CHOICES} choices"));
            }
            faults.choice |=
                self.choices.entry(choice.index.unwrap_or(0)).or_default().is_faulty(self.kind, self.chat, choice);
        }
        // A chunk that is mended is taken in by mending it.
        if !faults.choice {
            for choice in chunk.choices.iter().flatten() {
                self.choices.entry(choice.index.unwrap_or(0)).or_default().take(choice);
            }
        }
        Ok(faults)
    }

    fn fill(&mut self, value: &mut Map<String, Value>) {
        let object = if self.chat { "chat.completion.chunk" } else { "text_completion" };
        let usual = [
            (
                "id",
                json!(format!("{}{}", if self.chat { "chatcmpl-" } else { "cmpl-" }, uuid::Uuid::new_v4().simple())),
            ),
            ("created", json!(seconds_now())),
            ("model", json!("")),
        ];
        for (key, usual) in usual {
            let known = self.first.entry(key).or_insert(Value::Null);
            match value.get(key).filter(|found| !found.is_null()) {
                Some(found) if known.is_null() => *known = found.clone(),
                Some(_) => {}
                None => {
                    if known.is_null() {
                        *known = usual;
                    }
                    value.insert(key.to_owned(), known.clone());
                }
            }
        }
        value.insert("object".to_owned(), json!(object));
        if !value.get("choices").is_some_and(Value::is_array) {
            value.insert("choices".to_owned(), json!([]));
        }
    }

    /// Mends one choice; false if nothing of it is to be sent.
    fn mend(&mut self, choice: &mut Value) -> bool {
        let Some(choice) = choice.as_object_mut() else {
            return false;
        };
        let index =
            choice.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        choice.entry("index").or_insert(json!(0));
        let state = self.choices.entry(index).or_default();
        if choice.get("finish_reason").is_none_or(|reason| reason == "") {
            choice.insert("finish_reason".to_owned(), Value::Null);
        }
        if self.chat {
            let delta = choice.entry("delta").or_insert(Value::Null);
            if !delta.is_object() {
                *delta = json!({});
            }
            if let Some(delta) = delta.as_object_mut() {
                state.mend_delta(self.kind, delta);
            }
        }
        state.mend_finish(self.kind, choice)
    }
}

fn seconds_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
