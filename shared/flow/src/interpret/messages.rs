//! `add_message`: the conversation kept in `vars.context.messages`.

use super::machine::Machine;
use super::vars::{child, peek};
use crate::State;
use crate::compile::Node;
use crate::py::Exception;
use serde_json::{Value, json};

/// Messages of one conversation.
const MESSAGES: usize = 10_000;

/// Pin `pin` of an `add_message` node that has appended `stored.message`.
pub(super) fn read(state: &State, stored: &Value, pin: &str) -> Option<Value> {
    let message = stored.get("message").cloned().unwrap_or(Value::Null);
    super::outputs::pick(&all(state, &message), pin)
}

fn all(state: &State, message: &Value) -> Value {
    let context = state.vars.get("context").cloned().unwrap_or_else(|| json!({}));
    let task = context.get("task").cloned().unwrap_or(Value::Null);
    let messages = context.get("messages").cloned().unwrap_or_else(|| json!([]));
    json!({"message": message, "context": context, "task": task, "messages": messages})
}

impl Machine<'_> {
    /// Appends a message to the conversation and keeps it as the node's output.
    pub(super) fn add_message(&mut self, node: &Node) -> Result<Value, Exception> {
        let mut inputs = self.pull(node, super::pull::Ambient::Of(&["role", "content", "message"]))?;
        if let Some(Value::Object(given)) = inputs.shift_remove("message").filter(Value::is_object) {
            for key in ["role", "content"] {
                if let Some(value) = given.get(key) {
                    inputs.entry(key).or_insert_with(|| value.clone());
                }
            }
        }
        let message = self.with_context(node, |context| crate::pure::message(&inputs, context));
        self.append_message(message.clone())?;
        self.store(&node.id, json!({"message": message}))?;
        Ok(json!({"message": message}))
    }

    pub(super) fn append_message(&mut self, message: Value) -> Result<(), Exception> {
        let context = child(&mut self.state.vars, "context");
        let messages = context.entry("messages").or_insert_with(|| json!([]));
        if !messages.is_array() {
            *messages = json!([]);
        }
        if let Some(messages) = messages.as_array_mut() {
            if messages.len() >= MESSAGES {
                return Err(Exception::value(format!("the conversation has {MESSAGES} messages already")));
            }
            messages.push(message);
        }
        Ok(())
    }
}

/// The conversation, if there is one.
pub(super) fn conversation(state: &State) -> Option<&Vec<Value>> {
    peek(&state.vars, &["context", "messages"])?.as_array().filter(|messages| !messages.is_empty())
}
