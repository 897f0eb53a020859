//! Several execution edges into one node become a join in front of it, and a choice in front of each pin that they override.

use super::document::{Document, Edge, RawNode, text};
use domain::Object;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

const JOIN: &str = "__internal_join_exec__";
const MUX: &str = "__internal_path_mux__";

struct Route {
    key: String,
    source: String,
    handle: String,
}

/// Lowers every node that has more than one incoming execution edge.
pub(crate) fn lower(document: &mut Document) -> Result<(), String> {
    let mut incoming: BTreeMap<String, usize> = BTreeMap::new();
    for edge in document.edges.iter().filter(|edge| edge.is_exec()) {
        *incoming.entry(edge.target.clone()).or_default() += 1;
    }
    for target in incoming.into_iter().filter(|(_, count)| *count > 1).map(|(target, _)| target) {
        lower_one(document, &target)?;
    }
    Ok(())
}

fn lower_one(document: &mut Document, target: &str) -> Result<(), String> {
    let Some(node) = document.node(target).cloned() else {
        return Ok(());
    };
    let routes = routes(document, &node)?;
    let join = format!("{JOIN}{target}");
    let overrides = node.data.get("inputRouteOverrides").and_then(Value::as_object).cloned().unwrap_or_default();
    for (pin, by_route) in &overrides {
        let by_route =
            by_route.as_object().ok_or_else(|| format!("inputRouteOverrides.{pin} of '{target}' is no object"))?;
        mux(document, &node, &join, &routes, pin, by_route)?;
    }
    for edge in document.edges.iter_mut().filter(|edge| edge.is_exec() && edge.target == target) {
        edge.target.clone_from(&join);
    }
    document.edges.push(Edge {
        source: join.clone(),
        handle: "exec-out".to_owned(),
        target: target.to_owned(),
        pin: "exec-in".to_owned(),
    });
    let routes: Vec<Value> =
        routes.iter().map(|route| json!({"key": route.key, "source": route.source, "handle": route.handle})).collect();
    document.nodes.push(internal(join, "join_exec", json!({"routes": routes})));
    Ok(())
}

fn internal(id: String, kind: &str, data: Value) -> RawNode {
    let data = data.as_object().cloned().unwrap_or_default();
    RawNode {
        id,
        kind: kind.to_owned(),
        data,
        inputs: Vec::new(),
        outputs: Vec::new(),
        has_pins: kind == "path_mux",
        has_exec_pin: false,
    }
}

fn routes(document: &Document, node: &RawNode) -> Result<Vec<Route>, String> {
    let edges: Vec<(String, String)> = document
        .edges
        .iter()
        .filter(|edge| edge.is_exec() && edge.target == node.id)
        .map(|edge| (edge.source.clone(), edge.handle.clone()))
        .collect();
    let routes: Vec<Route> = match node.data.get("entryRoutes").and_then(Value::as_array) {
        Some(list) if !list.is_empty() => list.iter().filter_map(declared).collect(),
        _ => edges.iter().map(|(source, handle)| route(source.clone(), handle.clone(), None)).collect(),
    };
    let pairs: HashSet<(String, String)> =
        routes.iter().map(|route| (route.source.clone(), route.handle.clone())).collect();
    let keys: HashSet<&str> = routes.iter().map(|route| route.key.as_str()).collect();
    if keys.len() != routes.len() || pairs.len() != routes.len() {
        return Err(format!("the entry routes of node '{}' are not unique", node.id));
    }
    let wired: HashSet<(String, String)> = edges.iter().cloned().collect();
    if wired.len() != edges.len() || pairs != wired {
        return Err(format!("the entry routes of node '{}' do not match its incoming execution edges", node.id));
    }
    Ok(routes)
}

fn declared(value: &Value) -> Option<Route> {
    let handle = text(value.get("sourceHandle")).unwrap_or_else(|| "exec-out".to_owned());
    Some(route(text(value.get("sourceNodeId"))?, handle, text(value.get("key"))))
}

fn route(source: String, handle: String, key: Option<String>) -> Route {
    Route { key: key.unwrap_or_else(|| format!("{source}::{handle}")), source, handle }
}

fn mux(
    document: &mut Document,
    node: &RawNode,
    join: &str,
    routes: &[Route],
    pin: &str,
    by_route: &Object,
) -> Result<(), String> {
    let id = format!("{MUX}{}__{pin}", node.id);
    let mut wires = vec![(join.to_owned(), "which".to_owned(), "select".to_owned())];
    for (key, from) in by_route {
        let place = routes
            .iter()
            .position(|route| route.key == *key)
            .ok_or_else(|| format!("node '{}' overrides pin '{pin}' for the unknown route '{key}'", node.id))?;
        let source = text(from.get("sourceNodeId"));
        let handle = text(from.get("sourceHandle"));
        let (Some(source), Some(handle)) = (source, handle) else {
            return Err(format!("node '{}' overrides pin '{pin}' for route '{key}' without a source", node.id));
        };
        wires.push((source, handle, format!("in{place}")));
    }
    let mut defaults = Object::new();
    match document.edges.iter().position(|edge| edge.is_data() && edge.target == node.id && edge.pin == pin) {
        Some(place) => {
            let edge = document.edges.remove(place);
            wires.push((edge.source, edge.handle, "fallback".to_owned()));
        }
        None => {
            if let Some(value) = node.data.get("pinDefaults").and_then(|defaults| defaults.get(pin)) {
                defaults.insert("fallback".to_owned(), value.clone());
            }
        }
    }
    for (source, handle, to) in wires {
        document.edges.push(Edge { source, handle, target: id.clone(), pin: to });
    }
    document.edges.push(Edge {
        source: id.clone(),
        handle: "out".to_owned(),
        target: node.id.clone(),
        pin: pin.to_owned(),
    });
    document.nodes.push(internal(id, "path_mux", json!({"pinDefaults": defaults})));
    Ok(())
}
