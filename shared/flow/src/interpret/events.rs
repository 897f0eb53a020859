//! Questions and events: who waits for what, and what an emitted event carries.

use super::effects::{Announced, Outcome};
use super::machine::Machine;
use super::plan::{Plan, effect, successor, text_of};
use super::pull::Ambient;
use super::vars::object_at;
use crate::compile::Node;
use crate::py::Exception;
use domain::{Command, Envelope, EventDelivery, Object, Wait, WaitReason};
use serde_json::{Value, json};

/// Deliveries that a run remembers, so that one that is repeated does nothing.
const SEEN: usize = 64;

impl Machine<'_> {
    pub(super) fn ask_user(&mut self, node: &Node) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["prompt", "choices"]))?;
        let mut payload = Object::new();
        payload.insert("type".to_owned(), json!("ask_user"));
        payload.insert("prompt".to_owned(), json!(text_of(&inputs, "prompt", "Please respond:")));
        let choices = inputs.get("choices").filter(|choices| choices.is_array()).cloned();
        payload.insert("choices".to_owned(), choices.unwrap_or_else(|| json!([])));
        let config = node.config("effectConfig");
        let free = config.and_then(|config| config.get("allowFreeText")).is_none_or(crate::py::truthy);
        payload.insert("allow_free_text".to_owned(), json!(free));
        Ok(self.effect_node(node, "ask_user", payload))
    }

    pub(super) fn answer_user(&mut self, node: &Node) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["message", "level"]))?;
        let level = match text_of(&inputs, "level", "message").trim().to_lowercase().as_str() {
            "warning" | "warn" => "warning",
            "error" => "error",
            _ => "message",
        };
        let mut payload = Object::new();
        payload.insert("type".to_owned(), json!("answer_user"));
        payload.insert("message".to_owned(), json!(text_of(&inputs, "message", "")));
        payload.insert("level".to_owned(), json!(level));
        Ok(self.effect_node(node, "answer_user", payload))
    }

    /// An effect whose payload ends with the successor, as those of most nodes do.
    pub(super) fn effect_node(&self, node: &Node, kind: &str, mut payload: Object) -> Plan {
        let next = successor(node);
        payload.insert("resume_to_node".to_owned(), json!(next.map(|next| self.world.flow.name(next))));
        Plan::Perform { effect: effect(node, kind, payload), next }
    }

    pub(super) fn wait_event(&mut self, node: &Node) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["event_key", "prompt", "choices", "allow_free_text"]))?;
        let key = text_of(&inputs, "event_key", "").trim().to_owned();
        let mut payload = Object::new();
        payload.insert("type".to_owned(), json!("wait_event"));
        payload.insert("wait_key".to_owned(), json!(if key.is_empty() { "default" } else { &key }));
        let prompt = text_of(&inputs, "prompt", "");
        if !prompt.is_empty() {
            payload.insert("prompt".to_owned(), json!(prompt));
        }
        if let Some(choices) = inputs.get("choices").filter(|choices| choices.as_array().is_some_and(|c| !c.is_empty()))
        {
            payload.insert("choices".to_owned(), choices.clone());
        }
        let free = inputs.get("allow_free_text").filter(|free| !free.is_null()).is_none_or(crate::py::truthy);
        payload.insert("allow_free_text".to_owned(), json!(free));
        Ok(self.effect_node(node, "wait_event", payload))
    }

    /// `on_event`: waits, and is the control node to which its branch returns.
    pub(super) fn listen(&mut self, node: &Node) -> Plan {
        if !self.returned(node) && self.push(node).is_err() {
            return Plan::Complete(super::plan::failure(node, "control nodes are nested too deep"));
        }
        let inputs = self.pull(node, Ambient::Of(&["scope"])).unwrap_or_default();
        let config = node.config("eventConfig");
        let setting = |key: &str| config.and_then(|config| config.get(key)).and_then(Value::as_str);
        let name = setting("name").map(str::trim).filter(|name| !name.is_empty()).unwrap_or("*");
        let pin = inputs.get("scope").and_then(Value::as_str);
        let mut payload = Object::new();
        payload.insert("scope".to_owned(), json!(scope(setting("scope").or(pin))));
        payload.insert("name".to_owned(), json!(name));
        let next = successor(node);
        payload.insert("resume_to_node".to_owned(), json!(next.map(|next| self.world.flow.name(next))));
        Plan::Perform { effect: effect(node, "wait_event", payload), next }
    }

    pub(super) fn emit_event(&mut self, node: &Node) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["name", "scope", "payload", "session_id"])).unwrap_or_default();
        let config = node.config("effectConfig");
        let setting = |keys: &[&str]| {
            let found = keys.iter().find_map(|key| config.and_then(|config| config.get(*key)).and_then(Value::as_str));
            found.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let pin = |key: &str| {
            inputs.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let name = pin("name").or_else(|| setting(&["name", "event_name"]));
        let name = name.ok_or_else(|| Exception::value("emit_event requires a 'name'"))?;
        let body = match inputs.get("payload") {
            None | Some(Value::Null) => json!({}),
            Some(Value::Object(map)) => Value::Object(map.clone()),
            Some(other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
                json!({"value": other})
            }
        };
        let counts = object_at(&mut self.state.vars, &["_temp", "event_seq"]);
        let number = counts.get(&node.id).and_then(Value::as_u64).unwrap_or_default() + 1;
        counts.insert(node.id.clone(), json!(number));
        let mut payload = Object::new();
        payload.insert("scope".to_owned(), json!(scope(pin("scope").or_else(|| setting(&["scope"])).as_deref())));
        payload.insert("name".to_owned(), json!(name));
        payload.insert("payload".to_owned(), body);
        payload.insert("event_id".to_owned(), json!(format!("{}:{}:{number}", self.state.run_id, node.id)));
        if let Some(session) = pin("session_id").or_else(|| setting(&["session_id", "sessionId"])) {
            payload.insert("session_id".to_owned(), json!(session));
        }
        payload.insert("max_steps".to_owned(), json!(0));
        Ok(Plan::Perform { effect: effect(node, "emit_event", payload), next: successor(node) })
    }

    /// The keys under which a listener may wait for an emitted event, its own first, and the event.
    pub(super) fn emission(&self, announced: &Announced) -> (Vec<String>, Envelope) {
        let payload = &announced.effect.payload;
        let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        let session = payload.get("session_id").and_then(Value::as_str).unwrap_or(self.state.session_id.as_str());
        let key = |name: &str| self.wait_key(text("scope"), name, session);
        let keys = if text("name") == "*" { vec![key("*")] } else { vec![key(text("name")), key("*")] };
        let emitter = [
            ("run_id", self.state.run_id.as_str()),
            ("workflow_id", self.state.workflow_id.as_str()),
            ("node_id", &announced.node_id),
        ];
        let envelope = Envelope {
            event_id: Some(text("event_id").to_owned()),
            name: text("name").to_owned(),
            scope: text("scope").to_owned(),
            session_id: Some(session.to_owned()),
            payload: payload.get("payload").and_then(Value::as_object).cloned().unwrap_or_default(),
            emitted_at: Some(announced.started_at.to_string()),
            emitter: emitter.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect(),
        };
        (keys, envelope)
    }

    fn wait_key(&self, scope: &str, name: &str, session: &str) -> String {
        let id = match scope {
            "workflow" => self.world.flow.origin.as_str(),
            "run" => self.state.run_id.as_str(),
            "global" => "global",
            _ => session,
        };
        format!("evt:{scope}:{id}:{name}")
    }

    pub(super) fn begin_question(&mut self, announced: &Announced) -> Outcome {
        let payload = &announced.effect.payload;
        let prompt = payload.get("prompt").and_then(Value::as_str).unwrap_or_default();
        if prompt.is_empty() {
            return Outcome::Failed("ask_user requires a prompt".to_owned());
        }
        let key = payload.get("wait_key").and_then(Value::as_str).map(str::to_owned);
        let key = key.unwrap_or_else(|| format!("user:{}:{}", self.state.run_id, announced.node_id));
        Outcome::Waiting(Box::new(question(WaitReason::User, key, payload)))
    }

    pub(super) fn begin_event_wait(&mut self, announced: &Announced) -> Outcome {
        let payload = &announced.effect.payload;
        let text = |key: &str| payload.get(key).and_then(Value::as_str);
        let session = text("session_id").unwrap_or(self.state.session_id.as_str());
        let key = match text("wait_key") {
            Some(key) => key.to_owned(),
            None => self.wait_key(text("scope").unwrap_or("session"), text("name").unwrap_or("*"), session),
        };
        Outcome::Waiting(Box::new(question(WaitReason::Event, key, payload)))
    }

    /// Takes an event, if the run waits for it now. Events are never kept for later.
    pub(super) fn take_event(&mut self, delivery: &EventDelivery) {
        let waits = self.state.waiting.as_ref().is_some_and(|wait| {
            wait.reason == WaitReason::Event && wait.wait_key.as_deref() == Some(&delivery.wait_key)
        });
        let envelope = &delivery.envelope;
        // A flow names its events for good; a client's name counts together with the moment that it gives.
        let moment = envelope.emitted_at.as_deref().filter(|_| !envelope.emitter.contains_key("run_id"));
        let mark = envelope.event_id.as_ref();
        let mark = mark.map(|id| format!("{id}|{}|{}", envelope.name, moment.unwrap_or_default()));
        let repeated = mark.as_ref().is_some_and(|mark| self.state.seen.contains(mark));
        if !waits || repeated || self.state.control.paused {
            return;
        }
        if let Some(mark) = mark {
            self.state.seen.push(mark);
            let surplus = self.state.seen.len().saturating_sub(SEEN);
            self.state.seen.drain(..surplus);
        }
        if let Ok(envelope) = serde_json::to_value(envelope) {
            self.resume(envelope);
        }
    }
}

fn question(reason: WaitReason, key: String, payload: &Object) -> Wait {
    let free = payload.get("allow_free_text").and_then(Value::as_bool).unwrap_or(true);
    Wait {
        wait_key: Some(key),
        prompt: payload.get("prompt").and_then(Value::as_str).map(str::to_owned),
        choices: payload.get("choices").and_then(Value::as_array).cloned(),
        allow_free_text: free,
        ..Wait::new(reason)
    }
}

/// A known scope; any other word means the session.
fn scope(word: Option<&str>) -> &'static str {
    match word.map(|word| word.trim().to_lowercase()).as_deref() {
        Some("workflow") => "workflow",
        Some("run") => "run",
        Some("global") => "global",
        _ => "session",
    }
}

/// The key and the event of an `emit_event` command. It needs no run: an event may be sent to runs of any session.
pub fn external_event(command: &Command) -> Result<(String, Envelope), String> {
    let payload = &command.payload;
    let text = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| payload.get(*key).and_then(Value::as_str));
        found.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = text(&["name", "event_name"]).ok_or("emit_event requires payload.name")?;
    let scope = text(&["scope"]).map_or_else(|| "session".to_owned(), |scope| scope.to_lowercase());
    let session = text(&["session_id", "sessionId"]).unwrap_or_else(|| command.run_id.to_string());
    let id = match scope.as_str() {
        "session" => session.clone(),
        "workflow" => text(&["workflow_id", "workflowId"])
            .ok_or("emit_event with scope 'workflow' requires payload.workflow_id")?,
        "run" => text(&["run_id", "runId"]).unwrap_or_else(|| command.run_id.to_string()),
        "global" => "global".to_owned(),
        other => {
            return Err(format!("emit_event: unknown scope '{other}' (expected: session|workflow|run|global)"));
        }
    };
    let body = match payload.get("payload") {
        None | Some(Value::Null) => Object::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
            Object::from_iter([("value".to_owned(), other.clone())])
        }
    };
    let emitter = [("source", json!("external")), ("client_id", json!(command.client_id))];
    let envelope = Envelope {
        event_id: text(&["event_id", "eventId"]),
        session_id: Some(session),
        payload: body,
        emitted_at: text(&["emitted_at", "emittedAt"]),
        emitter: emitter.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        name: name.clone(),
        scope: scope.clone(),
    };
    Ok((format!("evt:{scope}:{id}:{name}"), envelope))
}
