//! A compiled flow: an immutable graph that many runs share.

use super::document::Pin;
use super::kind::Kind;
use domain::{Object, WorkflowId};
use serde_json::Value;
use std::collections::HashMap;

/// A flow, ready to be executed.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its id, with bundle and version.
    pub id: WorkflowId,
    /// The flow that it was derived from, for listeners; else its own id. Events of the scope `workflow` go by it.
    pub(crate) origin: WorkflowId,
    pub(crate) nodes: Vec<Node>,
    pub(crate) index: HashMap<String, usize>,
    pub(crate) entry: usize,
    /// Flows that listen to events while a run of this flow is a root run.
    pub listeners: Vec<Listener>,
    /// What the author should know, such as nodes of an unknown type.
    pub warnings: Vec<String>,
}

/// A derived flow that begins at an `on_event` node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The `on_event` node.
    pub node_id: String,
    /// The derived flow.
    pub workflow_id: WorkflowId,
}

impl Flow {
    /// A flow without nodes, for a run that only ends.
    pub(crate) fn empty(id: &WorkflowId) -> Self {
        let (nodes, index) = (Vec::new(), HashMap::new());
        Self { id: id.clone(), origin: id.clone(), nodes, index, entry: 0, listeners: Vec::new(), warnings: Vec::new() }
    }

    /// The node that a run executes first.
    pub fn entry(&self) -> &str {
        &self.nodes[self.entry].id
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    pub(crate) fn name(&self, node: usize) -> &str {
        &self.nodes[node].id
    }
}

/// A node with its wires and its transitions.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) type_name: String,
    pub(crate) kind: Kind,
    pub(crate) data: Object,
    pub(crate) inputs: Vec<Pin>,
    pub(crate) outputs: Vec<Pin>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) next: Next,
}

impl Node {
    /// Defaults of unwired pins.
    pub(crate) fn defaults(&self) -> Option<&Object> {
        self.data.get("pinDefaults").and_then(Value::as_object)
    }

    pub(crate) fn is_wired(&self, pin: &str) -> bool {
        self.wires.iter().any(|wire| wire.pin == pin)
    }

    /// An object of the node's settings, such as `effectConfig`.
    pub(crate) fn config(&self, key: &str) -> Option<&Object> {
        self.data.get(key).and_then(Value::as_object)
    }
}

/// Where an input pin takes its value from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wire {
    pub(crate) pin: String,
    pub(crate) source: usize,
    pub(crate) source_pin: String,
}

/// Where control goes after a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Nowhere.
    End,
    /// To one node.
    One { handle: String, target: usize },
    /// To the node of the branch that the result names.
    Branch(Vec<(String, usize)>),
    /// To each in turn, then to `completed`.
    Then { targets: Vec<(u64, usize)>, completed: Option<usize> },
    /// Around a body, then to `done`.
    Loop { body: Option<usize>, done: Option<usize> },
}
