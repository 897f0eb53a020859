//! All flows of one bundle (or one generated document) under their ids, with the listeners derived from them.

use super::build::compile;
use super::document::{Document, text};
use super::{CompileError, Flow, Listener};
use crate::bundle::Bundle;
use domain::WorkflowId;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Which workflows can be started; a subflow of any other id fails.
pub trait Workflows {
    /// Whether there is a workflow of that id.
    fn contains(&self, id: &WorkflowId) -> bool;
}

/// Compiled flows by workflow id. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Library {
    flows: Arc<HashMap<WorkflowId, Arc<Flow>>>,
}

impl Workflows for Library {
    fn contains(&self, id: &WorkflowId) -> bool {
        self.flows.contains_key(id)
    }
}

impl Library {
    /// Compiles every flow of a bundle. One that does not compile refuses the bundle.
    pub fn compile(bundle: &Bundle) -> Result<Self, CompileError> {
        let mut flows = HashMap::new();
        for (id, flow) in bundle.flows() {
            let workflow = bundle.reference().workflow(id);
            add(&mut flows, &workflow, &bundle.namespaced(id, flow))?;
        }
        Ok(Self { flows: Arc::new(flows) })
    }

    /// Compiles one document that belongs to no bundle.
    pub fn from_document(id: &WorkflowId, flow: &Value) -> Result<Self, CompileError> {
        Self::from_documents([(id, flow)])
    }

    /// Compiles some documents that belong to no bundle.
    pub fn from_documents<'a>(
        documents: impl IntoIterator<Item = (&'a WorkflowId, &'a Value)>,
    ) -> Result<Self, CompileError> {
        let mut flows = HashMap::new();
        for (id, flow) in documents {
            add(&mut flows, id, flow)?;
        }
        Ok(Self { flows: Arc::new(flows) })
    }

    /// A compiled flow.
    pub fn get(&self, id: &WorkflowId) -> Option<&Arc<Flow>> {
        self.flows.get(id)
    }

    /// The listeners that start beside a root run of that workflow.
    pub fn listeners_of(&self, id: &WorkflowId) -> &[Listener] {
        self.flows.get(id).map(|flow| flow.listeners.as_slice()).unwrap_or_default()
    }

    /// The ids of all workflows, sorted.
    pub fn ids(&self) -> Vec<&WorkflowId> {
        let mut ids: Vec<&WorkflowId> = self.flows.keys().collect();
        ids.sort_unstable();
        ids
    }
}

fn add(flows: &mut HashMap<WorkflowId, Arc<Flow>>, id: &WorkflowId, flow: &Value) -> Result<(), CompileError> {
    let mut main = compile(id, flow, None)?;
    let document = Document::read(flow).map_err(|reason| CompileError::new(id.as_str(), reason))?;
    for node in document.nodes.iter().filter(|node| node.kind == "on_event") {
        if node.id == main.entry() {
            continue;
        }
        let workflow_id = listener_id(id, &node.id);
        let mut listener = compile(&workflow_id, flow, Some(&node.id))?;
        listener.origin = id.clone();
        flows.insert(workflow_id.clone(), Arc::new(listener));
        main.listeners.push(Listener { node_id: node.id.clone(), workflow_id });
    }
    flows.insert(id.clone(), Arc::new(main));
    Ok(())
}

/// The id of the flow that is derived from an `on_event` node.
pub fn listener_id(workflow: &WorkflowId, node: &str) -> WorkflowId {
    let safe = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
    };
    WorkflowId::new(format!("visual_event_listener_{}_{}", safe(workflow.as_str()), safe(node)))
}

/// Rewrites the targets of `subflow` nodes that name a flow of the same bundle.
pub(crate) fn namespace(flow: &Value, id: &WorkflowId, local: impl Fn(&str) -> Option<WorkflowId>) -> Value {
    let mut flow = flow.clone();
    if let Some(document) = flow.as_object_mut() {
        document.insert("id".to_owned(), Value::from(id.as_str()));
    }
    let nodes = flow.get_mut("nodes").and_then(Value::as_array_mut);
    for node in nodes.into_iter().flatten() {
        if node.get("type").and_then(Value::as_str) != Some("subflow") {
            continue;
        }
        let Some(data) = node.get_mut("data").and_then(Value::as_object_mut) else {
            continue;
        };
        for key in ["subflowId", "flowId", "workflowId", "workflow_id"] {
            if let Some(target) = text(data.get(key)).and_then(|target| local(&target)) {
                data.insert(key.to_owned(), Value::from(target.as_str()));
            }
        }
    }
    flow
}
