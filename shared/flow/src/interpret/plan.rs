//! What a node wants to happen next, and the rule that brings dead ends back to the control node they are under.

use super::machine::Machine;
use super::pull::Ambient;
use super::vars::object_at;
use crate::compile::{Kind, Next, Node};
use crate::py::{Exception, Raise, to_str};
use domain::{EffectRecord, Object};
use serde_json::{Value, json};

/// What a node wants to happen next.
pub(super) enum Plan {
    /// The run ends with this output.
    Complete(Value),
    /// Control goes on.
    Go { handle: String, target: usize },
    /// An effect, and where control goes once it is done.
    Perform { effect: EffectRecord, next: Option<usize> },
}

impl Machine<'_> {
    /// Executes the current node.
    pub(super) fn execute(&mut self) -> Result<(), Exception> {
        let id = self.state.current_node.clone();
        let place = self.world.flow.find(&id).ok_or_else(|| {
            Exception::new(Raise::KeyError, format!("the flow '{}' has no node '{id}'", self.world.flow.id))
        })?;
        let node = self.node(place);
        self.state.node_seq += 1;
        self.spent += 64;
        let plan = self.plan(place, node)?;
        match self.return_rule(node, plan) {
            Plan::Complete(output) => self.completed(output, None),
            Plan::Go { handle, target } => self.go(node, &handle, target),
            Plan::Perform { effect, next } => self.perform(node, effect, next)?,
        }
        Ok(())
    }

    fn plan(&mut self, place: usize, node: &Node) -> Result<Plan, Exception> {
        let result = match node.kind {
            Kind::FlowStart => Ok(self.flow_start(node)),
            Kind::FlowEnd => return Ok(self.flow_end(node)),
            Kind::UserRequest => Ok(self.user_request()),
            Kind::AgentMessage => Ok(self.agent_message(node)),
            Kind::If => self.condition(node),
            Kind::Switch => self.switch(node),
            Kind::Function(kind) => self.call(kind, node),
            Kind::Identity => self.pull(node, Ambient::All).map(Value::Object),
            Kind::SetVar => return self.assign(node, Self::set_var),
            Kind::SetVarProperty => return self.assign(node, Self::set_property),
            Kind::SetVars => return self.assign(node, Self::set_vars),
            Kind::AddMessage => return self.add_message(node).map(|output| leave(node, output)),
            Kind::Join => return Ok(self.join(node)),
            Kind::Sequence => return self.in_turn("sequence", node),
            Kind::Parallel => return self.in_turn("parallel", node),
            Kind::ForEach => return self.around(place, node, Self::for_each),
            Kind::For => return self.around(place, node, Self::for_numbers),
            Kind::While => return self.around(place, node, Self::while_true),
            Kind::Schedule => return self.schedule(node),
            Kind::Event => return Ok(self.listen(node)),
            Kind::WaitEvent => return self.wait_event(node),
            Kind::EmitEvent => return self.emit_event(node),
            Kind::WaitUntil => return self.wait_until(node),
            Kind::AskUser => return self.ask_user(node),
            Kind::AnswerUser => return self.answer_user(node),
            Kind::LlmCall => return self.llm_call(node),
            Kind::Subflow => return self.subflow(node),
            Kind::Unsupported | Kind::UnsupportedPure | Kind::Pure(_) => return Err(super::unsupported(node)),
        };
        self.finish_function(node, result)
    }

    /// A node that would end the run, or has nowhere to go, returns to the control node above it. `on_flow_end` does not.
    fn return_rule(&mut self, node: &Node, plan: Plan) -> Plan {
        let Some(active) = self.active().filter(|active| *active != node.id).map(str::to_owned) else {
            return plan;
        };
        let Some(target) = self.world.flow.find(&active).filter(|_| node.kind != Kind::FlowEnd) else {
            return plan;
        };
        match plan {
            Plan::Complete(_) => {
                self.return_to(&active);
                Plan::Go { handle: String::new(), target }
            }
            Plan::Perform { effect, next: None } => {
                self.return_to(&active);
                Plan::Perform { effect, next: Some(target) }
            }
            Plan::Go { .. } | Plan::Perform { next: Some(_), .. } => plan,
        }
    }

    pub(super) fn return_to(&mut self, node: &str) {
        object_at(&mut self.state.vars, &["_temp", "_control"]).insert("return_to".to_owned(), Value::from(node));
    }

    fn go(&mut self, node: &Node, handle: &str, target: usize) {
        self.remember(node, handle, target);
        self.state.current_node = self.world.flow.name(target).to_owned();
    }

    /// A join must know by which route control came; no other node asks.
    pub(super) fn remember(&mut self, node: &Node, handle: &str, target: usize) {
        if self.node(target).kind != Kind::Join {
            return;
        }
        let temp = object_at(&mut self.state.vars, &["_temp"]);
        temp.insert("prev_node_id".to_owned(), Value::from(node.id.as_str()));
        temp.insert("prev_exec_handle".to_owned(), Value::from(handle));
    }

    fn join(&mut self, node: &Node) -> Plan {
        let text = |key: &str| {
            let value = super::vars::peek(&self.state.vars, &["_temp", key]);
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (from, handle) = (text("prev_node_id"), text("prev_exec_handle"));
        let routes = node.data.get("routes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is = |route: &Value, key: &str, text: &str| route.get(key).and_then(Value::as_str) == Some(text);
        let exact = routes.iter().position(|route| is(route, "source", &from) && is(route, "handle", &handle));
        let which = exact.unwrap_or_else(|| {
            let guess = routes.iter().position(|route| is(route, "source", &from)).unwrap_or_default();
            self.warn(format!(
                "join '{}' cannot tell by which route control came from '{from}'; it takes route {guess}",
                node.id
            ));
            guess
        });
        let output = json!({"which": which, "from": from, "from_handle": handle});
        object_at(&mut self.state.vars, &["_temp", "node_outputs"]).insert(node.id.clone(), output.clone());
        leave(node, output)
    }

    pub(super) fn warn(&mut self, warning: String) {
        let warnings = self.state.vars.entry("_flow_warnings").or_insert_with(|| json!([]));
        if let Some(warnings) = warnings.as_array_mut().filter(|warnings| warnings.len() < 20) {
            warnings.push(Value::from(warning));
        }
    }
}

/// Where a node that has run goes: to its successor, down the branch that its result names, or to the end of the run.
pub(super) fn leave(node: &Node, result: Value) -> Plan {
    match &node.next {
        Next::One { handle, target } => Plan::Go { handle: handle.clone(), target: *target },
        Next::Branch(branches) => branch(node, branches, result),
        Next::End | Next::Then { .. } | Next::Loop { .. } => Plan::Complete(completion(result)),
    }
}

fn branch(node: &Node, branches: &[(String, usize)], result: Value) -> Plan {
    let Some(name) = result.get("branch").and_then(Value::as_str) else {
        return Plan::Complete(failure(node, "the result names no branch"));
    };
    if let Some((handle, target)) = branches.iter().find(|(handle, _)| handle == name) {
        return Plan::Go { handle: handle.clone(), target: *target };
    }
    if matches!(name, "true" | "false" | "default") || name.starts_with("case:") {
        return Plan::Complete(completion(result));
    }
    Plan::Complete(failure(node, &format!("there is no branch '{name}'")))
}

/// The successor of an effect node.
pub(super) fn successor(node: &Node) -> Option<usize> {
    match &node.next {
        Next::One { target, .. } => Some(*target),
        Next::End | Next::Branch(_) | Next::Then { .. } | Next::Loop { .. } => None,
    }
}

/// A node's result as the output of the run.
pub(super) fn completion(result: Value) -> Value {
    match result {
        Value::Object(mut map) => {
            map.entry("success").or_insert(Value::Bool(true));
            Value::Object(map)
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            json!({"response": other, "success": true})
        }
    }
}

/// The output of a run that a node ends with an error of its own.
pub(super) fn failure(node: &Node, error: &str) -> Value {
    json!({"success": false, "error": error, "node": node.id})
}

/// An effect of a node as it is recorded; its result is kept under the node's id.
pub(super) fn effect(node: &Node, kind: &str, payload: Object) -> EffectRecord {
    EffectRecord { kind: kind.to_owned(), payload, result_key: Some(format!("_temp.effects.{}", node.id)) }
}

/// The Python text of an input, `default` when it is missing or null.
pub(super) fn text_of(inputs: &Object, key: &str, default: &str) -> String {
    inputs.get(key).filter(|value| !value.is_null()).map_or_else(|| default.to_owned(), to_str)
}
