//! Child runs: how a run starts them, waits for them and hears of their end.

use super::effects::{Announced, Outcome};
use super::machine::Machine;
use super::plan::Plan;
use super::pull::Ambient;
use super::vars::child;
use crate::compile::{Node, text};
use crate::py::{Exception, truthy};
use crate::{ActiveChild, Effect};
use domain::limits::RUN_DEPTH;
use domain::{ChildEnd, Object, RunId, RunStatus, Wait, WaitReason, WorkflowId, uuid_from};
use serde_json::{Value, json};

/// Variables that a child takes over from its parent.
const WORKSPACE: [&str; 4] =
    ["workspace_root", "workspace_access_mode", "workspace_allowed_paths", "workspace_ignored_paths"];

/// The id of the run that listens at an `on_event` node beside a root run.
pub fn listener_run_id(root: &RunId, node: &str) -> RunId {
    RunId::new(uuid_from(&[root.as_str().as_bytes(), b"listener", node.as_bytes()]))
}

impl Machine<'_> {
    pub(super) fn subflow(&mut self, node: &Node) -> Result<Plan, Exception> {
        let target =
            ["subflowId", "flowId", "workflowId", "workflow_id"].iter().find_map(|key| text(node.data.get(*key)));
        let target = target.ok_or_else(|| Exception::value(format!("subflow node '{}' names no flow", node.id)))?;
        let names = [
            "vars",
            "input",
            "inherit_context",
            "inheritContext",
            "child_session_id",
            "childSessionId",
            "session_id",
            "sessionId",
        ];
        let ambient = if node.inputs.is_empty() { Ambient::All } else { Ambient::Of(&names) };
        let mut inputs = self.pull(node, ambient)?;
        let mut taken = |keys: [&str; 2]| keys.iter().find_map(|key| inputs.shift_remove(*key));
        let inherit = taken(["inherit_context", "inheritContext"]).is_some_and(|flag| truthy(&flag));
        let child_session = taken(["child_session_id", "childSessionId"]);
        let session = child_session.or_else(|| taken(["session_id", "sessionId"]));
        let session = text(session.as_ref());
        let vars = self.child_vars(node, inputs, inherit);
        let mut payload = Object::new();
        payload.insert("type".to_owned(), json!("start_subworkflow"));
        payload.insert("workflow_id".to_owned(), json!(target));
        payload.insert("vars".to_owned(), Value::Object(vars));
        payload.insert("async".to_owned(), json!(true));
        payload.insert("wait".to_owned(), json!(true));
        if let Some(session) = session {
            payload.insert("session_id".to_owned(), json!(session));
        }
        if inherit {
            payload.insert("inherit_context".to_owned(), json!(true));
        }
        Ok(self.effect_node(node, "start_subworkflow", payload))
    }

    fn child_vars(&self, node: &Node, mut inputs: Object, inherit: bool) -> Object {
        let declares = |pin: &str| node.inputs.iter().any(|input| input.id == pin);
        let mut vars = Object::new();
        let mut given = false;
        for pin in ["vars", "input"] {
            if let Some(Value::Object(map)) = inputs.get(pin).filter(|value| value.is_object()) {
                vars = super::vars::public(map);
                inputs.shift_remove(pin);
                given = true;
                break;
            }
        }
        for (name, value) in inputs {
            if declares(&name) || (node.inputs.is_empty() && !given) {
                vars.insert(name, value);
            }
        }
        for key in WORKSPACE {
            if let (false, Some(value)) = (vars.contains_key(key), self.state.vars.get(key)) {
                vars.insert(key.to_owned(), value.clone());
            }
        }
        if inherit {
            let own = super::messages::conversation(&self.state).cloned().unwrap_or_default();
            let context = child(&mut vars, "context");
            let mut messages = own;
            messages.extend(context.get("messages").and_then(Value::as_array).cloned().unwrap_or_default());
            context.insert("messages".to_owned(), Value::Array(messages));
        }
        vars
    }

    pub(super) fn begin_child(&mut self, announced: &Announced) -> Outcome {
        let payload = &announced.effect.payload;
        let field = |key: &str| payload.get(key).and_then(Value::as_str);
        let workflow_id = WorkflowId::new(field("workflow_id").unwrap_or_default());
        if !self.world.flows.contains(&workflow_id) {
            return Outcome::Failed(format!("Workflow '{workflow_id}' not found in registry"));
        }
        if self.state.depth >= RUN_DEPTH {
            return Outcome::Failed(format!("Workflow '{workflow_id}' would run more than {RUN_DEPTH} runs deep"));
        }
        let session_id = field("session_id").unwrap_or(self.state.session_id.as_str()).to_owned();
        let vars = payload.get("vars").and_then(Value::as_object).cloned().unwrap_or_default();
        let child = RunId::new(self.next_id("child"));
        self.start_child(&child, &workflow_id, vars, session_id, true);
        let details = json!({
            "sub_run_id": child.as_str(),
            "sub_workflow_id": workflow_id.as_str(),
            "async": true,
            "include_traces": false,
        });
        Outcome::Waiting(Box::new(Wait {
            wait_key: Some(format!("subworkflow:{child}")),
            details: details.as_object().cloned(),
            ..Wait::new(WaitReason::Subworkflow)
        }))
    }

    fn start_child(
        &mut self,
        id: &RunId,
        workflow_id: &WorkflowId,
        mut vars: Object,
        session_id: String,
        report: bool,
    ) {
        // The depth travels in a namespace that flows cannot write.
        let mut runtime = self.state.vars.get("_runtime").and_then(Value::as_object).cloned().unwrap_or_default();
        runtime.insert("depth".to_owned(), json!(self.state.depth + 1));
        vars.insert("_runtime".to_owned(), Value::Object(runtime));
        self.state.children.push(ActiveChild { run_id: id.clone(), workflow_id: workflow_id.clone() });
        self.effects.push(Effect::StartChild {
            child: id.clone(),
            workflow_id: workflow_id.clone(),
            vars,
            session_id,
            report,
        });
    }

    /// In its first step a root run starts a listener for each event that its flow handles.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.state.begun, true) || self.state.parent_run_id.is_some() {
            return;
        }
        let root = self.state.run_id.clone();
        for listener in &self.world.flow.listeners {
            let id = listener_run_id(&root, &listener.node_id);
            let limits = self.state.vars.get("_limits").cloned();
            let vars = limits.map(|limits| ("_limits".to_owned(), limits)).into_iter().collect();
            let session = self.state.session_id.as_str().to_owned();
            self.start_child(&id, &listener.workflow_id, vars, session, false);
        }
    }

    /// A child has ended: a parent that waits for it goes on, any other only forgets it.
    pub(super) fn child_ended(&mut self, end: &ChildEnd) {
        self.state.children.retain(|active| active.run_id != end.child);
        let waits = self.state.waiting.as_ref().is_some_and(|wait| {
            let details = wait.details.as_ref();
            let child = details.and_then(|details| details.get("sub_run_id")).and_then(Value::as_str);
            wait.reason == WaitReason::Subworkflow && child == Some(end.child.as_str())
        });
        if waits {
            self.resume(json!({"sub_run_id": end.child.as_str(), "output": child_output(end)}));
        }
    }
}

/// A child's output for its parent. A child that failed does not fail its parent.
fn child_output(end: &ChildEnd) -> Value {
    if end.status == RunStatus::Completed {
        return end.output.clone().unwrap_or(Value::Null);
    }
    let mut output = end.output.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    output.insert("success".to_owned(), json!(false));
    if end.status == RunStatus::Cancelled {
        output.insert("cancelled".to_owned(), json!(true));
    }
    output.insert("error".to_owned(), json!(end.error));
    Value::Object(output)
}
