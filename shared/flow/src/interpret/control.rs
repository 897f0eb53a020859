//! Loops and sequences. Their frames lie in the run's variables, so that a wait inside a body survives a restart.

use super::machine::Machine;
use super::plan::{Plan, failure};
use super::pull::Ambient;
use super::vars::{child, object_at, peek};
use crate::compile::{Next, Node};
use crate::py::{Exception, to_float, truthy};
use domain::Object;
use domain::limits::LOOP_PASSES;
use serde_json::{Value, json};

/// Control nodes inside one another.
const STACK: usize = 256;

impl Machine<'_> {
    fn control_state(&mut self) -> &mut Object {
        object_at(&mut self.state.vars, &["_temp", "_control"])
    }

    fn frame(&self, node: &Node) -> Object {
        let frame = peek(&self.state.vars, &["_temp", "_control", "frames", &node.id]);
        frame.and_then(Value::as_object).cloned().unwrap_or_default()
    }

    fn set_frame(&mut self, node: &Node, frame: Value) {
        child(self.control_state(), "frames").insert(node.id.clone(), frame);
    }

    /// Puts a node on top of the stack. A node that is in it already starts anew, and what lay above it is gone.
    pub(super) fn push(&mut self, node: &Node) -> Result<(), Exception> {
        let control = self.control_state();
        let stack = control.entry("stack").or_insert_with(|| json!([]));
        if let Some(stack) = stack.as_array_mut() {
            if let Some(place) = stack.iter().position(|entry| entry.as_str() == Some(&node.id)) {
                stack.truncate(place);
            }
            if stack.len() >= STACK {
                return Err(Exception::value(format!("control nodes are nested more than {STACK} deep")));
            }
            stack.push(Value::from(node.id.as_str()));
        }
        Ok(())
    }

    fn pop(&mut self, node: &Node) {
        let control = self.control_state();
        child(control, "frames").shift_remove(&node.id);
        let Some(stack) = control.get_mut("stack").and_then(Value::as_array_mut) else {
            return;
        };
        if let Some(place) = stack.iter().position(|entry| entry.as_str() == Some(&node.id)) {
            stack.truncate(place);
        }
    }

    /// Whether control came back to the node from below, rather than to start it.
    pub(super) fn returned(&mut self, node: &Node) -> bool {
        let control = self.control_state();
        let to = control.get("return_to").and_then(Value::as_str).map(str::to_owned);
        control.shift_remove("return_to");
        to.as_deref() == Some(&node.id) && self.active() == Some(&node.id)
    }

    /// One turn of a loop: another pass of its body, or the way out.
    pub(super) fn around(&mut self, place: usize, node: &Node, turn: Turn<Self>) -> Result<Plan, Exception> {
        let again = self.returned(node);
        let (body, done) = match &node.next {
            Next::Loop { body, done } => (*body, *done),
            Next::End | Next::One { .. } | Next::Branch(_) | Next::Then { .. } => (None, None),
        };
        let pass = turn(self, node, again)?;
        match pass {
            Pass::Failed(error) => Ok(Plan::Complete(failure(node, &error))),
            Pass::Over => Ok(self.over(node, "done", done)),
            Pass::Again(fields) => {
                let output = self.pass_output(fields);
                self.store(&node.id, output.clone())?;
                self.set_last_output(output);
                match body {
                    Some(target) => Ok(Plan::Go { handle: "loop".to_owned(), target }),
                    None => {
                        // A loop without a body turns on itself until it is over.
                        self.return_to(&node.id);
                        Ok(Plan::Go { handle: "loop".to_owned(), target: place })
                    }
                }
            }
        }
    }

    /// The last output with the fields of this pass; `item` of a `while` only fills a gap.
    fn pass_output(&self, fields: Object) -> Value {
        let mut output = match self.last_output() {
            Some(Value::Object(last)) => last.clone(),
            Some(other) => Object::from_iter([("input".to_owned(), other.clone())]),
            None => Object::from_iter([("input".to_owned(), Value::Null)]),
        };
        output.extend(fields);
        Value::Object(output)
    }

    /// `sequence` and `parallel`: each branch in the order of its number, then the way out.
    pub(super) fn in_turn(&mut self, kind: &str, node: &Node) -> Result<Plan, Exception> {
        let again = self.returned(node);
        let (targets, completed) = match &node.next {
            Next::Then { targets, completed } => (targets.as_slice(), *completed),
            Next::End | Next::One { .. } | Next::Branch(_) | Next::Loop { .. } => (&[][..], None),
        };
        let frame = self.frame(node);
        let index = if again { frame.get("idx").and_then(Value::as_u64).unwrap_or_default() } else { 0 };
        if !again {
            self.push(node)?;
        }
        if let Some((number, target)) = usize::try_from(index).ok().and_then(|index| targets.get(index)) {
            self.set_frame(node, json!({"kind": kind, "idx": index + 1}));
            return Ok(Plan::Go { handle: format!("then:{number}"), target: *target });
        }
        Ok(self.over(node, "completed", completed))
    }

    /// Leaves a control node: to its own exit, else to the one above, else out of the run.
    fn over(&mut self, node: &Node, handle: &str, exit: Option<usize>) -> Plan {
        self.pop(node);
        if let Some(target) = exit {
            return Plan::Go { handle: handle.to_owned(), target };
        }
        let above = self.active().and_then(|above| Some((above.to_owned(), self.world.flow.find(above)?)));
        match above {
            Some((above, target)) => {
                self.return_to(&above);
                Plan::Go { handle: handle.to_owned(), target }
            }
            None => Plan::Complete(json!({"success": true, "result": self.last_output()})),
        }
    }

    pub(super) fn for_each(&mut self, node: &Node, again: bool) -> Result<Pass, Exception> {
        let mut frame = self.frame(node);
        if !again {
            let items = match self.pull(node, Ambient::Of(&["items"]))?.remove("items") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(items)) => items,
                Some(scalar @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_))) => {
                    vec![scalar]
                }
            };
            self.push(node)?;
            frame = Object::from_iter([("kind".to_owned(), json!("loop")), ("items".to_owned(), Value::Array(items))]);
        }
        let index = frame.get("idx").and_then(Value::as_u64).unwrap_or_default();
        let items = frame.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some(item) = usize::try_from(index).ok().and_then(|index| items.get(index)) else {
            return Ok(Pass::Over);
        };
        let fields = fields([("item", item.clone()), ("index", json!(index)), ("total", json!(items.len()))]);
        frame.insert("idx".to_owned(), json!(index + 1));
        self.set_frame(node, Value::Object(frame));
        Ok(Pass::Again(fields))
    }

    pub(super) fn for_numbers(&mut self, node: &Node, again: bool) -> Result<Pass, Exception> {
        let frame = self.frame(node);
        let number = |key: &str| frame.get(key).and_then(Value::as_f64).unwrap_or_default();
        let count = |key: &str| frame.get(key).and_then(Value::as_u64).unwrap_or_default();
        let (i, end, step, index, total) = if again {
            (number("i") + number("step"), number("end"), number("step"), count("index") + 1, count("total"))
        } else {
            match self.range(node)? {
                Ok((start, end, step)) => (start, end, step, 0, passes(start, end, step)),
                Err(error) => return Ok(Pass::Failed(error)),
            }
        };
        if !again {
            self.push(node)?;
        }
        if index >= total {
            return Ok(Pass::Over);
        }
        if index >= LOOP_PASSES {
            self.pop(node);
            return Ok(Pass::Failed(format!("for: more than {LOOP_PASSES} passes")));
        }
        let frame = json!({"kind": "for", "i": i, "end": end, "step": step, "index": index, "total": total});
        self.set_frame(node, frame);
        Ok(Pass::Again(fields([("i", json!(i)), ("index", json!(index)), ("total", json!(total))])))
    }

    fn range(&self, node: &Node) -> Result<Result<(f64, f64, f64), String>, Exception> {
        let inputs = self.pull(node, Ambient::Of(&["start", "end", "step"]))?;
        let number = |key: &str, default: Option<f64>| match inputs.get(key).filter(|value| !value.is_null()) {
            Some(value) => to_float(value).ok().filter(|number| number.is_finite()),
            None => default,
        };
        let (start, end, step) = (number("start", None), number("end", None), number("step", Some(1.0)));
        let (Some(start), Some(end), Some(step)) = (start, end, step) else {
            return Ok(Err("for: 'start', 'end' and 'step' must be numbers".to_owned()));
        };
        if step == 0.0 {
            return Ok(Err("for: 'step' must not be 0".to_owned()));
        }
        Ok(Ok((start, end, step)))
    }

    pub(super) fn while_true(&mut self, node: &Node, again: bool) -> Result<Pass, Exception> {
        let passes = if again { self.frame(node).get("iters").and_then(Value::as_u64).unwrap_or_default() } else { 0 };
        if !again {
            self.push(node)?;
        }
        let condition = self.pull(node, Ambient::Of(&["condition"]))?.get("condition").is_some_and(truthy);
        if !condition {
            return Ok(Pass::Over);
        }
        if passes >= LOOP_PASSES {
            self.pop(node);
            return Ok(Pass::Failed(format!("while: more than {LOOP_PASSES} passes")));
        }
        self.set_frame(node, json!({"kind": "while", "iters": passes + 1}));
        let mut fields = fields([("index", json!(passes))]);
        let last = self.last_output().cloned().unwrap_or(Value::Null);
        if last.get("item").is_none() {
            fields.insert("item".to_owned(), last);
        }
        Ok(Pass::Again(fields))
    }
}

/// One kind of loop: what it does next, in its first turn or `again`.
type Turn<M> = fn(&mut M, &Node, bool) -> Result<Pass, Exception>;

/// What a loop does next.
pub(super) enum Pass {
    /// One more pass, with these fields.
    Again(Object),
    /// The loop is done.
    Over,
    /// The loop cannot run.
    Failed(String),
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Object {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float to integer cast saturates; negative counts become 0"
)]
fn passes(start: f64, end: f64, step: f64) -> u64 {
    ((end - start) / step).ceil() as u64
}
