//! Small flows and the bundles that hold them.

#![expect(clippy::expect_used, reason = "a bundle in memory can be written")]

use serde_json::{Map, Value, json};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// A flow that is drawn node by node.
#[derive(Debug, Clone)]
pub struct Flow {
    id: String,
    nodes: Vec<Value>,
    edges: Vec<Value>,
}

impl Flow {
    /// A flow that begins at `start` with these pins.
    #[must_use]
    pub fn new(id: &str, pins: &[(&str, &str)]) -> Self {
        let empty = Self { id: id.to_owned(), nodes: Vec::new(), edges: Vec::new() };
        empty.node("start", "on_flow_start", &[], &with_execution("exec-out", pins), json!({}))
    }

    /// A node with its pins beside those of execution, which are drawn for every type but the start, and the rest of
    /// its data.
    #[must_use]
    pub fn node(
        mut self,
        id: &str,
        kind: &str,
        inputs: &[(&str, &str)],
        outputs: &[(&str, &str)],
        more: Value,
    ) -> Self {
        let mut data = json!({"nodeType": kind, "label": id, "inputs": pins(inputs), "outputs": pins(outputs)});
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            data[key] = value;
        }
        self.nodes.push(json!({"id": id, "type": kind, "position": {"x": 0.0, "y": 0.0}, "data": data}));
        self
    }

    /// A node with one way in and one way out.
    #[must_use]
    pub fn step(self, id: &str, kind: &str, inputs: &[(&str, &str)], outputs: &[(&str, &str)], more: Value) -> Self {
        self.node(id, kind, &with_execution("exec-in", inputs), &with_execution("exec-out", outputs), more)
    }

    /// The end, with these pins.
    #[must_use]
    pub fn end(self, inputs: &[(&str, &str)]) -> Self {
        self.node("end", "on_flow_end", &with_execution("exec-in", inputs), &[], json!({}))
    }

    /// Goes from one node to the next, all along.
    #[must_use]
    pub fn path(self, nodes: &[&str]) -> Self {
        nodes.windows(2).fold(self, |flow, pair| flow.wire(pair[0], "exec-out", pair[1], "exec-in"))
    }

    /// An edge from an output to an input.
    #[must_use]
    pub fn wire(mut self, from: &str, output: &str, to: &str, input: &str) -> Self {
        let id = format!("e{}", self.edges.len() + 1);
        self.edges.push(json!({"id": id, "source": from, "sourceHandle": output, "target": to, "targetHandle": input}));
        self
    }

    /// The document of the flow format.
    pub fn document(&self) -> Value {
        json!({
            "id": self.id, "name": self.id, "description": "", "interfaces": [],
            "nodes": self.nodes, "edges": self.edges, "entryNode": "start",
        })
    }
}

fn with_execution<'a>(id: &'a str, pins: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[(id, "execution")], pins].concat()
}

fn pins(pins: &[(&str, &str)]) -> Vec<Value> {
    let shown = |(id, kind): &(&str, &str)| json!({"id": id, "label": if *kind == "execution" { "" } else { id }, "type": kind});
    pins.iter().map(shown).collect()
}

/// The bytes of a bundle in which every flow is an entrypoint.
///
/// # Panics
/// Never, unless memory runs out.
pub fn pack(id: &str, version: &str, flows: &[Flow]) -> Vec<u8> {
    let path = |flow: &Flow| format!("flows/{}.json", flow.id);
    let files: Map<String, Value> = flows.iter().map(|flow| (flow.id.clone(), path(flow).into())).collect();
    let entry = |flow: &Flow| json!({"flow_id": flow.id, "name": flow.id, "description": "", "interfaces": []});
    let manifest = json!({
        "bundle_format_version": "1", "bundle_id": id, "bundle_version": version,
        "created_at": "2026-01-08T00:00:00+00:00",
        "entrypoints": flows.iter().map(entry).collect::<Vec<_>>(), "default_entrypoint": flows[0].id,
        "flows": files, "artifacts": {}, "assets": {}, "metadata": {},
    });
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut file = |name: String, content: Value| {
        zip.start_file(name, SimpleFileOptions::default()).expect("a file is begun");
        zip.write_all(content.to_string().as_bytes()).expect("a file is written");
    };
    file("manifest.json".to_owned(), manifest);
    flows.iter().for_each(|flow| file(path(flow), flow.document()));
    zip.finish().expect("a bundle is closed").into_inner()
}
