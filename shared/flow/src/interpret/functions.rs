//! Nodes that compute and go on at once, without a record: flow start and end, branches, built-in functions, variables.

use super::machine::Machine;
use super::plan::{Plan, completion, failure, leave};
use super::pull::Ambient;
use super::vars::{object_at, public};
use crate::compile::Node;
use crate::pure;
use crate::py::{Exception, Raise, to_str, truthy};
use domain::Object;
use serde_json::{Value, json};

/// One of the nodes that write variables; an error is the node's own.
type Assign<M> = fn(&mut M, &Node, &Object) -> Result<Value, String>;

impl Machine<'_> {
    pub(super) fn user_request(&self) -> Value {
        self.named(&[("message", json!("")), ("context", json!({}))])
    }

    pub(super) fn agent_message(&self, node: &Node) -> Value {
        let channel = node.config("eventConfig").and_then(|config| config.get("channel")).cloned();
        let channel = channel.unwrap_or_else(|| json!(""));
        self.named(&[("sender", json!("")), ("message", json!("")), ("channel", channel)])
    }

    /// Keeps the result of a function-like node, or turns its exception into the node's own failure. What this version
    /// does not execute is no failure of the flow: it ends the run.
    pub(super) fn finish_function(&mut self, node: &Node, result: Result<Value, Exception>) -> Result<Plan, Exception> {
        let kept = result.and_then(|output| self.store(&node.id, output.clone()).map(|()| output));
        Ok(match kept {
            Ok(output) => {
                self.set_last_output(output.clone());
                leave(node, output)
            }
            Err(exception) if exception.raise == Raise::NotImplementedError => return Err(exception),
            Err(exception) => {
                let error = exception.to_string();
                self.flow_error(node, &error);
                let output = json!({"error": error, "success": false, "node": node.id});
                object_at(&mut self.state.vars, &["_temp", "node_outputs"]).insert(node.id.clone(), output.clone());
                Plan::Complete(output)
            }
        })
    }

    fn flow_error(&mut self, node: &Node, error: &str) {
        self.state.vars.insert("_flow_error".to_owned(), Value::from(error));
        self.state.vars.insert("_flow_error_node".to_owned(), Value::from(node.id.as_str()));
    }

    fn named(&self, names: &[(&str, Value)]) -> Value {
        let value = |name: &str, default: &Value| self.state.vars.get(name).unwrap_or(default).clone();
        names.iter().map(|(name, default)| ((*name).to_owned(), value(name, default))).collect::<Object>().into()
    }

    pub(super) fn flow_start(&self, node: &Node) -> Value {
        let vars = &self.state.vars;
        let defaults = node.defaults();
        let default = |pin: &str| defaults.and_then(|defaults| defaults.get(pin)).cloned();
        let mut output = Object::new();
        for pin in &node.outputs {
            let value = vars.get(&pin.id).cloned().or_else(|| default(&pin.id)).unwrap_or(Value::Null);
            output.insert(pin.id.clone(), value);
        }
        if node.outputs.is_empty() {
            output = public(vars);
            for (name, value) in defaults.into_iter().flatten() {
                output.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Value::Object(output)
    }

    /// `on_flow_end` ends the run at once, whatever lies above it.
    pub(super) fn flow_end(&mut self, node: &Node) -> Plan {
        let output = self.flow_output(node).and_then(|output| crate::py::fits(&output).map(|()| output));
        match output {
            Ok(output) => Plan::Complete(completion(output)),
            Err(exception) => {
                let error = exception.to_string();
                self.flow_error(node, &error);
                Plan::Complete(json!({"error": error, "success": false, "node": node.id}))
            }
        }
    }

    fn flow_output(&self, node: &Node) -> Result<Value, Exception> {
        if node.inputs.is_empty() {
            return self.pull(node, Ambient::All).map(Value::Object);
        }
        let mut inputs = self.pull(node, Ambient::Of(&[]))?;
        let mut output = Object::new();
        for pin in &node.inputs {
            output.insert(pin.id.clone(), inputs.remove(&pin.id).unwrap_or(Value::Null));
        }
        Ok(Value::Object(output))
    }

    /// A built-in function that was given execution pins.
    pub(super) fn call(&self, kind: pure::Kind, node: &Node) -> Result<Value, Exception> {
        let inputs = self.pull(node, Ambient::All)?;
        self.compute(kind, node, &inputs)
    }

    pub(super) fn condition(&self, node: &Node) -> Result<Value, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["condition"]))?;
        let condition = inputs.get("condition").is_some_and(truthy);
        Ok(json!({"branch": if condition { "true" } else { "false" }, "condition": condition}))
    }

    pub(super) fn switch(&self, node: &Node) -> Result<Value, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["value"]))?;
        let form = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(to_str).unwrap_or_default();
        let value = form(inputs.get("value"));
        let cases = node.config("switchConfig").and_then(|config| config.get("cases")).and_then(Value::as_array);
        let hit = cases.into_iter().flatten().find(|case| form(case.get("value")) == value);
        let branch = hit.and_then(|case| case.get("id")).map(|id| format!("case:{}", to_str(id)));
        let matched = branch.is_some();
        Ok(json!({"branch": branch.unwrap_or_else(|| "default".to_owned()), "value": value, "matched": matched}))
    }

    /// `set_var`, `set_var_property` and `set_vars`. A bad name ends the run with an error of the node's own.
    pub(super) fn assign(&mut self, node: &Node, assign: Assign<Self>) -> Result<Plan, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["name", "value", "key", "updates"]))?;
        let assigned = assign(self, node, &inputs);
        match assigned {
            Ok(output) => {
                self.store(&node.id, output.clone())?;
                Ok(leave(node, output))
            }
            Err(error) => {
                self.flow_error(node, &error);
                Ok(Plan::Complete(failure(node, &error)))
            }
        }
    }

    pub(super) fn set_var(&mut self, node: &Node, inputs: &Object) -> Result<Value, String> {
        let name = variable_name(inputs)?;
        let value = value_or_zero(node, inputs);
        self.put(&name, value.clone())?;
        Ok(json!({"value": value}))
    }

    pub(super) fn set_property(&mut self, node: &Node, inputs: &Object) -> Result<Value, String> {
        let name = variable_name(inputs)?;
        let key = inputs.get("key").map(to_str).unwrap_or_default();
        if key.trim().is_empty() {
            return Err("set_var_property requires a 'key'".to_owned());
        }
        let value = value_or_zero(node, inputs);
        let current = lookup(&self.state.vars, &name).and_then(Value::as_object);
        let mut object = current.cloned().unwrap_or_default();
        set_path(&mut object, key.trim(), value)?;
        let object = Value::Object(object);
        self.put(&name, object.clone())?;
        Ok(json!({"value": object}))
    }

    pub(super) fn set_vars(&mut self, _: &Node, inputs: &Object) -> Result<Value, String> {
        let updates = match inputs.get("updates") {
            None | Some(Value::Null) => Object::new(),
            Some(Value::Object(updates)) => updates.clone(),
            Some(Value::String(text)) if text.trim().is_empty() => Object::new(),
            Some(Value::String(text)) => serde_json::from_str(text)
                .map_err(|error| format!("set_vars: 'updates' is not a JSON object: {error}"))?,
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                return Err("set_vars: 'updates' must be an object".to_owned());
            }
        };
        for name in updates.keys() {
            check_name(name.trim())?;
        }
        for (name, value) in &updates {
            self.put(name.trim(), value.clone())?;
        }
        Ok(json!({"updates": updates}))
    }
}

impl Machine<'_> {
    /// Writes a variable. One that outgrows its limits is removed, so that the state can always be read again.
    fn put(&mut self, path: &str, value: Value) -> Result<(), String> {
        self.spent += super::vars::weight(&value);
        set_path(&mut self.state.vars, path, value)?;
        let top = path.split('.').find(|part| !part.is_empty()).unwrap_or_default();
        let fits = self.state.vars.get(top).map_or(Ok(()), crate::py::fits);
        fits.map_err(|exception| {
            self.state.vars.shift_remove(top);
            format!("variable '{top}' cannot be kept: {exception}")
        })
    }
}

fn variable_name(inputs: &Object) -> Result<String, String> {
    let name = inputs.get("name").filter(|name| !name.is_null()).map(to_str).unwrap_or_default().trim().to_owned();
    check_name(&name)?;
    Ok(name)
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("Variable name must not be empty.".to_owned());
    }
    if name.starts_with('_') {
        return Err(format!("Invalid variable name '{name}': names starting with '_' are reserved."));
    }
    Ok(())
}

/// The value pin; unset it is the zero of the pin's type.
fn value_or_zero(node: &Node, inputs: &Object) -> Value {
    if let Some(value) = inputs.get("value") {
        return value.clone();
    }
    let pin = node.inputs.iter().find(|pin| pin.id == "value");
    match pin.map(|pin| pin.kind.as_str()) {
        Some("boolean") => json!(false),
        Some("number") => json!(0),
        Some("string") => json!(""),
        _ => Value::Null,
    }
}

/// Path segments of a variable.
const SEGMENTS: usize = 32;

fn set_path(vars: &mut Object, path: &str, value: Value) -> Result<(), String> {
    let mut parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
    if parts.len() > SEGMENTS {
        return Err(format!("variable path '{path}' has more than {SEGMENTS} parts"));
    }
    let Some(last) = parts.pop() else {
        return Err(format!("variable path '{path}' has no parts"));
    };
    let old = object_at(vars, &parts).insert(last.to_owned(), value);
    drop(old);
    Ok(())
}

fn lookup<'a>(vars: &'a Object, path: &str) -> Option<&'a Value> {
    let parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
    super::vars::peek(vars, &parts)
}
