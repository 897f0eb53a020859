//! The authoring document of a flow, reduced to what execution needs.

use domain::Object;
use serde_json::Value;
use std::collections::HashSet;

/// Nodes of one flow; more is a mistake or an attack.
pub(crate) const NODES: usize = 5_000;

/// A pin that carries data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pin {
    pub(crate) id: String,
    pub(crate) kind: String,
}

/// A node as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawNode {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Object,
    pub(crate) inputs: Vec<Pin>,
    pub(crate) outputs: Vec<Pin>,
    pub(crate) has_pins: bool,
    pub(crate) has_exec_pin: bool,
}

/// An edge as written, with all four ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) source: String,
    pub(crate) handle: String,
    pub(crate) target: String,
    pub(crate) pin: String,
}

impl Edge {
    pub(crate) fn is_exec(&self) -> bool {
        self.pin == "exec-in"
    }

    pub(crate) fn is_data(&self) -> bool {
        !self.is_exec() && self.handle != "exec-out"
    }
}

/// The nodes and edges of a flow, in file order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) entry: Option<String>,
    pub(crate) nodes: Vec<RawNode>,
    pub(crate) edges: Vec<Edge>,
}

impl Document {
    /// Reads a document. Nodes without an id and edges without both ends are dropped, as editors leave such residue.
    pub(crate) fn read(flow: &Value) -> Result<Self, String> {
        let flow = flow.as_object().ok_or("the document is not a JSON object")?;
        let list = |key: &str| flow.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if list("nodes").len() > NODES || list("edges").len() > NODES * 4 {
            return Err(format!("it has more than {NODES} nodes or {} edges", NODES * 4));
        }
        let mut seen = HashSet::new();
        let mut nodes = Vec::new();
        for node in list("nodes").iter().filter_map(raw_node) {
            if !seen.insert(node.id.clone()) {
                return Err(format!("two nodes have the id '{}'", node.id));
            }
            nodes.push(node);
        }
        let edges = list("edges")
            .iter()
            .filter_map(raw_edge)
            .filter(|edge| seen.contains(&edge.source) && seen.contains(&edge.target))
            .collect();
        let entry = ["entryNode", "entry_node"].iter().find_map(|key| text(flow.get(*key)));
        Ok(Self { entry, nodes, edges })
    }

    pub(crate) fn node(&self, id: &str) -> Option<&RawNode> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

fn raw_node(value: &Value) -> Option<RawNode> {
    let node = value.as_object()?;
    let id = text(node.get("id"))?;
    let data = node.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let kind = kind_of(node.get("type")).or_else(|| kind_of(data.get("nodeType"))).unwrap_or_default();
    let (inputs, outputs) = (pins(&data, "inputs"), pins(&data, "outputs"));
    let all = || inputs.iter().chain(&outputs);
    Some(RawNode {
        has_pins: all().next().is_some(),
        has_exec_pin: all().any(|pin| pin.kind == "execution"),
        inputs: data_pins(inputs),
        outputs: data_pins(outputs),
        id,
        kind,
        data,
    })
}

fn kind_of(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let name = text(Some(value.get("value").unwrap_or(value)))?;
    Some(match name.strip_prefix("NodeType.") {
        Some(member) => member.to_lowercase(),
        None => name,
    })
}

fn pins(data: &Object, key: &str) -> Vec<Pin> {
    let list = data.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(|pin| Some(Pin { id: text(pin.get("id"))?, kind: text(pin.get("type")).unwrap_or_default() }))
        .collect()
}

fn data_pins(pins: Vec<Pin>) -> Vec<Pin> {
    pins.into_iter().filter(|pin| pin.kind != "execution").collect()
}

fn raw_edge(value: &Value) -> Option<Edge> {
    Some(Edge {
        source: text(value.get("source"))?,
        handle: text(value.get("sourceHandle"))?,
        target: text(value.get("target"))?,
        pin: text(value.get("targetHandle"))?,
    })
}

/// A non-empty text without surrounding blanks.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
