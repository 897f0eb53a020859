//! Compiles one document: lowers joins, finds the entry, drops what control cannot reach, builds the tables.

use super::document::{Document, RawNode};
use super::graph::{Flow, Next, Node, Wire};
use super::kind::{Kind, is_exec, kind_of};
use super::transitions::{Out, transitions};
use super::{CompileError, routes};
use domain::WorkflowId;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Compiles a document under an id; `entry` overrides the document's own entry (derived listeners).
pub(super) fn compile(id: &WorkflowId, flow: &Value, entry: Option<&str>) -> Result<Flow, CompileError> {
    let refuse = |reason: String| CompileError::new(id.as_str(), reason);
    let mut document = Document::read(flow).map_err(refuse)?;
    routes::lower(&mut document).map_err(refuse)?;
    if let Some(entry) = entry {
        document.entry = Some(entry.to_owned());
    }
    let index: HashMap<String, usize> =
        document.nodes.iter().enumerate().map(|(place, node)| (node.id.clone(), place)).collect();
    let wires = wires(&document, &index).map_err(refuse)?;
    let entry = find_entry(&document, &index).map_err(refuse)?;
    let outs = outs(&document, &index);
    let reached = reach(entry, &outs);
    let mut nodes = Vec::with_capacity(document.nodes.len());
    let mut warnings = Vec::new();
    for (place, (raw, wires)) in document.nodes.into_iter().zip(wires).enumerate() {
        let next =
            if reached.contains(&place) { transitions(&raw, outs[place].clone()).map_err(refuse)? } else { Next::End };
        let kind = kind_of(&raw);
        if kind == Kind::Identity && reached.contains(&place) {
            warnings.push(format!("node '{}' has the unknown type '{}'; it passes its input on", raw.id, raw.kind));
        }
        nodes.push(node(raw, kind, wires, next));
    }
    Ok(Flow { id: id.clone(), origin: id.clone(), nodes, index, entry, listeners: Vec::new(), warnings })
}

fn node(raw: RawNode, kind: Kind, wires: Vec<Wire>, next: Next) -> Node {
    Node {
        id: raw.id,
        type_name: raw.kind,
        kind,
        data: raw.data,
        inputs: raw.inputs,
        outputs: raw.outputs,
        wires,
        next,
    }
}

fn wires(document: &Document, index: &HashMap<String, usize>) -> Result<Vec<Vec<Wire>>, String> {
    let mut wires: Vec<Vec<Wire>> = vec![Vec::new(); document.nodes.len()];
    for edge in document.edges.iter().filter(|edge| edge.is_data()) {
        let (Some(&source), Some(&target)) = (index.get(&edge.source), index.get(&edge.target)) else {
            continue;
        };
        if wires[target].iter().any(|wire| wire.pin == edge.pin) {
            return Err(format!("two data edges lead into pin '{}' of node '{}'", edge.pin, edge.target));
        }
        wires[target].push(Wire { pin: edge.pin.clone(), source, source_pin: edge.handle.clone() });
    }
    Ok(wires)
}

fn find_entry(document: &Document, index: &HashMap<String, usize>) -> Result<usize, String> {
    if document.nodes.is_empty() {
        return Err("it has no nodes".to_owned());
    }
    let named = document.entry.as_ref().and_then(|entry| index.get(entry)).copied();
    if let Some(place) = named.filter(|place| is_exec(&document.nodes[*place])) {
        return Ok(place);
    }
    let targets: HashSet<&str> =
        document.edges.iter().filter(|edge| edge.is_exec()).map(|edge| edge.target.as_str()).collect();
    let mut exec = document.nodes.iter().enumerate().filter(|(_, node)| is_exec(node));
    let first = exec.clone().find(|(_, node)| !targets.contains(node.id.as_str()));
    first.or_else(|| exec.next()).map(|(place, _)| place).ok_or_else(|| "no node takes part in control flow".to_owned())
}

fn outs(document: &Document, index: &HashMap<String, usize>) -> Vec<Vec<Out>> {
    let mut outs: Vec<Vec<Out>> = vec![Vec::new(); document.nodes.len()];
    for edge in document.edges.iter().filter(|edge| edge.is_exec()) {
        let (Some(&source), Some(&target)) = (index.get(&edge.source), index.get(&edge.target)) else {
            continue;
        };
        if is_exec(&document.nodes[source]) && is_exec(&document.nodes[target]) {
            outs[source].push((edge.handle.clone(), target));
        }
    }
    outs
}

fn reach(entry: usize, outs: &[Vec<Out>]) -> HashSet<usize> {
    let mut reached = HashSet::from([entry]);
    let mut open = vec![entry];
    while let Some(place) = open.pop() {
        for (_, target) in &outs[place] {
            if reached.insert(*target) {
                open.push(*target);
            }
        }
    }
    reached
}
