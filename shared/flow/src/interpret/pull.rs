//! Pull evaluation: a node's inputs, and below them every pure node that they read.

use super::machine::Machine;
use super::outputs;
use super::vars::public;
use crate::compile::{Kind, Node};
use crate::py::{Exception, Raise};
use crate::{State, pure};
use domain::Object;
use serde_json::Value;
use std::collections::HashMap;

/// Pure nodes below one another.
const DEPTH: usize = 200;

/// Which values of the last output a node sees beside its own pins.
#[derive(Clone, Copy)]
pub(super) enum Ambient<'a> {
    /// All of them.
    All,
    /// Those of these names, and of the declared pins.
    Of(&'a [&'a str]),
}

impl Machine<'_> {
    /// The inputs of an execution node: ambient values, then wired pins, then defaults.
    pub(super) fn pull(&self, node: &Node, ambient: Ambient<'_>) -> Result<Object, Exception> {
        let mut inputs = self.ambient(node, ambient);
        let mut pull = Pull { machine: self, memo: HashMap::new(), depth: 0 };
        for wire in &node.wires {
            if let Some(value) = pull.read(wire.source, &wire.source_pin)? {
                inputs.insert(wire.pin.clone(), value);
            }
        }
        for (pin, default) in node.defaults().into_iter().flatten() {
            let declared = node.inputs.iter().any(|input| input.id == *pin);
            if !node.is_wired(pin) && (declared || !inputs.contains_key(pin)) {
                inputs.insert(pin.clone(), default.clone());
            }
        }
        Ok(inputs)
    }

    fn ambient(&self, node: &Node, ambient: Ambient<'_>) -> Object {
        let empty = Object::new();
        let source = match self.last_output() {
            Some(last) => last.as_object().unwrap_or(&empty),
            None => &self.state.vars,
        };
        match ambient {
            Ambient::All if self.last_output().is_some() => source.clone(),
            Ambient::All => public(source),
            Ambient::Of(names) => {
                let pins = node.inputs.iter().map(|pin| pin.id.as_str());
                let wanted = names.iter().copied().chain(pins).filter(|name| !name.starts_with('_'));
                wanted.filter_map(|name| Some((name.to_owned(), source.get(name)?.clone()))).collect()
            }
        }
    }
}

/// One pull. What it has evaluated it does not evaluate again; the next pull starts afresh.
struct Pull<'m, 'a> {
    machine: &'m Machine<'a>,
    memo: HashMap<usize, Value>,
    depth: usize,
}

impl Pull<'_, '_> {
    fn read(&mut self, source: usize, pin: &str) -> Result<Option<Value>, Exception> {
        let node = self.machine.node(source);
        if node.kind.is_pure() {
            return self.evaluated(source, node, pin);
        }
        Ok(outputs::read(&self.machine.state, node, pin))
    }

    fn evaluated(&mut self, source: usize, node: &Node, pin: &str) -> Result<Option<Value>, Exception> {
        if !self.memo.contains_key(&source) {
            if self.depth >= DEPTH {
                let reason = format!("pure nodes are wired in a circle or more than {DEPTH} deep at '{}'", node.id);
                return Err(Exception::new(Raise::RecursionError, reason));
            }
            self.depth += 1;
            let value = self.evaluate(node);
            self.depth -= 1;
            self.memo.insert(source, value?);
        }
        Ok(self.memo.get(&source).and_then(|output| outputs::pick(output, pin)))
    }

    fn evaluate(&mut self, node: &Node) -> Result<Value, Exception> {
        let Kind::Pure(kind) = node.kind else {
            return Err(super::unsupported(node));
        };
        let mut inputs = Object::new();
        for wire in &node.wires {
            if let Some(value) = self.read(wire.source, &wire.source_pin)? {
                inputs.insert(wire.pin.clone(), value);
            }
        }
        for (pin, default) in node.defaults().into_iter().flatten().filter(|(pin, _)| !node.is_wired(pin)) {
            inputs.insert(pin.clone(), default.clone());
        }
        self.machine.compute(kind, node, &inputs)
    }
}

impl Machine<'_> {
    /// Evaluates a pure function with the surroundings of this run.
    pub(super) fn compute(&self, kind: pure::Kind, node: &Node, inputs: &Object) -> Result<Value, Exception> {
        self.with_context(node, |context| pure::eval(kind, &node.data, inputs, context))
    }

    pub(super) fn with_context<T>(&self, node: &Node, compute: impl FnOnce(&pure::Context<'_>) -> T) -> T {
        compute(&pure::Context {
            vars: &self.state.vars,
            now: self.world.now,
            zone: self.world.zone,
            seed: &seed(&self.state, &node.id),
        })
    }
}

/// What a node draws at random is a function of the run and of how far it has come.
fn seed(state: &State, node: &str) -> Vec<u8> {
    let run = state.run_id.as_str().as_bytes();
    [run, &state.node_seq.to_le_bytes(), node.as_bytes()].concat()
}
