//! What is known of one choice of an answer, and what its pieces need mended.

use super::chunk::{Call, Choice, Delta};
use super::tools::Calls;
use crate::backends::{Kind, Repair};
use serde_json::{Map, Value, json};

/// One choice.
#[derive(Debug, Default)]
pub(super) struct State {
    begun: bool,
    pub(super) finished: bool,
    calls: Calls,
}

impl State {
    /// Whether a piece breaks the contract in a way that this kind of backend is known for.
    pub(super) fn is_faulty(&self, kind: &Kind, chat: bool, choice: &Choice<'_>) -> bool {
        let finish = choice.finish_reason.as_ref().and_then(Option::as_deref);
        let needs = |repair, fault: bool| fault && kind.needs(repair);
        let around = needs(Repair::EmptyFinish, finish == Some(""))
            || needs(Repair::SecondFinish, finish.is_some_and(|reason| !reason.is_empty()) && self.finished);
        let around = around || needs(Repair::Envelope, choice.index.is_none());
        if !chat {
            return around;
        }
        let Some(delta) = &choice.delta else {
            return around || kind.needs(Repair::Envelope);
        };
        let calls = delta.tool_calls.as_deref().unwrap_or_default();
        around
            || needs(Repair::Role, self.has_role_fault(delta))
            || needs(Repair::ToolFinish, finish == Some("stop") && (self.calls.any() || !calls.is_empty()))
            || needs(Repair::ToolName, calls.iter().any(|call| name_of(call) == Some("")))
            || needs(Repair::ToolArguments, calls.iter().any(has_loose_arguments))
            || needs(Repair::ToolIndex, self.has_index_fault(calls))
    }

    /// The first delta must have a role; a null one is noise.
    fn has_role_fault(&self, delta: &Delta<'_>) -> bool {
        match &delta.role {
            Some(Some(_)) => false,
            Some(None) => true,
            None => !self.begun,
        }
    }

    fn has_index_fault(&self, calls: &[Call<'_>]) -> bool {
        let repeated = |at: usize, call: &Call<'_>| {
            calls[..at].iter().any(|before| before.index == call.index && before.id != call.id)
        };
        calls.iter().enumerate().any(|(at, call)| match call.index {
            None => true,
            Some(index) => repeated(at, call) || !self.calls.would_keep(index, call.id.as_deref(), name_of(call)),
        })
    }

    /// Takes in a piece that keeps the contract.
    pub(super) fn take(&mut self, choice: &Choice<'_>) {
        self.begun = true;
        for call in choice.delta.iter().filter_map(|delta| delta.tool_calls.as_ref()).flatten() {
            let named = name_of(call).is_some_and(|name| !name.is_empty());
            self.calls.place(call.index, call.id.as_deref(), named);
        }
        let finish = choice.finish_reason.as_ref().and_then(Option::as_deref);
        self.finished |= finish.is_some_and(|reason| !reason.is_empty());
    }

    /// Mends a delta and takes it in.
    pub(super) fn mend_delta(&mut self, kind: &Kind, delta: &mut Map<String, Value>) {
        if kind.needs(Repair::Role) {
            if delta.get("role").is_some_and(Value::is_null) {
                delta.shift_remove("role");
            }
            if !self.begun && !delta.contains_key("role") {
                delta.shift_insert(0, "role".to_owned(), json!("assistant"));
            }
        }
        self.begun = true;
        if let Some(Value::Array(calls)) = delta.get_mut("tool_calls") {
            for call in calls.iter_mut().filter_map(Value::as_object_mut) {
                self.mend_call(kind, call);
            }
        }
    }

    fn mend_call(&mut self, kind: &Kind, call: &mut Map<String, Value>) {
        let given = call.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
        let id = call.get("id").and_then(Value::as_str).map(str::to_owned);
        let function = call.get_mut("function").and_then(Value::as_object_mut);
        let mut named = false;
        if let Some(function) = function {
            let empty = function.get("name").is_some_and(|name| name == "" || name.is_null());
            if empty && kind.needs(Repair::ToolName) {
                function.shift_remove("name");
            }
            named = !empty && function.contains_key("name");
            if kind.needs(Repair::ToolArguments) {
                stringify_arguments(function);
            }
        }
        let (index, begins) = self.calls.place(given, id.as_deref(), named);
        if kind.needs(Repair::ToolIndex) {
            call.insert("index".to_owned(), json!(index));
            if begins && id.is_none() {
                call.insert("id".to_owned(), json!(format!("call_{}", uuid::Uuid::new_v4().simple())));
            }
        }
    }

    /// Mends what ends a choice; false if it was ended before.
    pub(super) fn mend_finish(&mut self, kind: &Kind, choice: &mut Map<String, Value>) -> bool {
        if choice["finish_reason"].is_null() {
            return true;
        }
        if self.finished && kind.needs(Repair::SecondFinish) {
            return false;
        }
        self.finished = true;
        if choice["finish_reason"] == "stop" && self.calls.any() && kind.needs(Repair::ToolFinish) {
            choice.insert("finish_reason".to_owned(), json!("tool_calls"));
        }
        true
    }
}

/// Arguments as a text, whatever they were sent as.
pub(crate) fn stringify_arguments(function: &mut Map<String, Value>) {
    if let Some(arguments) = function.get_mut("arguments") {
        match arguments {
            Value::String(_) => {}
            Value::Null => *arguments = json!(""),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                *arguments = json!(arguments.to_string())
            }
        }
    }
}

fn name_of<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    call.function.as_ref()?.name.as_deref()
}

fn has_loose_arguments(call: &Call<'_>) -> bool {
    let arguments = call.function.as_ref().and_then(|function| function.arguments);
    arguments.is_some_and(|raw| !raw.get().starts_with('"'))
}
