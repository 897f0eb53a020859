//! Flow documents from a few words: nodes as `(id, type, data)`, edges as `source.handle>target.pin`.

use flow::{Flow, Library};
use serde_json::{Value, json};
use std::sync::Arc;

/// A document whose pins are those that its edges touch, and those with a default.
pub(crate) fn sketch(nodes: &[(&str, &str, Value)], edges: &[&str]) -> Value {
    let mut document: Vec<Value> = nodes
        .iter()
        .map(|(id, kind, data)| {
            let mut data = data.clone();
            for list in ["inputs", "outputs"] {
                if data.get(list).is_none() {
                    data[list] = json!([]);
                }
            }
            json!({"id": id, "type": kind, "data": data})
        })
        .collect();
    let mut wires = Vec::new();
    for edge in edges {
        let (from, to) = edge.split_once('>').unwrap();
        let (source, handle) = from.split_once('.').unwrap();
        let (target, pin) = to.split_once('.').unwrap();
        let kind = if pin == "exec-in" { "execution" } else { "any" };
        add_pin(&mut document, source, "outputs", handle, kind);
        add_pin(&mut document, target, "inputs", pin, kind);
        wires.push(json!({"source": source, "sourceHandle": handle, "target": target, "targetHandle": pin}));
    }
    for (id, _, data) in nodes {
        for (pin, _) in data["pinDefaults"].as_object().into_iter().flatten() {
            add_pin(&mut document, id, "inputs", pin, "any");
        }
    }
    json!({"id": "main", "nodes": document, "edges": wires, "entryNode": nodes[0].0})
}

fn add_pin(nodes: &mut [Value], node: &str, list: &str, pin: &str, kind: &str) {
    let node = nodes.iter_mut().find(|entry| entry["id"] == node).expect("the edge names a node");
    let pins = node["data"][list].as_array_mut().unwrap();
    if !pins.iter().any(|entry| entry["id"] == pin) {
        pins.push(json!({"id": pin, "type": kind}));
    }
}

/// The document compiled under the id `w`.
pub(crate) fn library(document: &Value) -> Library {
    Library::from_document(&"w".into(), document).unwrap()
}

/// The flow compiled under the id `w`.
pub(crate) fn compiled(document: &Value) -> (Library, Arc<Flow>) {
    let library = library(document);
    let flow = library.get(&"w".into()).unwrap().clone();
    (library, flow)
}
