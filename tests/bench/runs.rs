//! Runs per second and their time from start to end.

use crate::client::Client;
use crate::gateway::Gateway;
use crate::processes::{Each, Spent};
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt;
use std::io::{Cursor, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a load has shown. Times in seconds.
pub(crate) struct Load {
    runs: usize,
    records: u64,
    time: f64,
    each: Each,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Load {
    /// Seconds that it lasted.
    pub(crate) fn time(&self) -> f64 {
        self.time
    }

    /// Records per second: what a client's stream calls a step.
    pub(crate) fn records_rate(&self) -> f64 {
        self.records as f64 / self.time
    }

    pub(crate) fn rate(&self) -> f64 {
        self.runs as f64 / self.time
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6.0} runs/s, {:>6.0} records/s, p50 {:>6.1} ms, p99 {:>6.1} ms, {}",
            self.rate(),
            self.records_rate(),
            self.p50 * 1e3,
            self.p99 * 1e3,
            self.each
        )
    }
}

/// The place of a share in sorted times.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

pub(crate) async fn echo(gateway: &Gateway, clients: usize, time: Duration) -> Result<Load> {
    load(gateway, "echo", clients, time).await
}

pub(crate) async fn many_effects(gateway: &Gateway, clients: usize, time: Duration) -> Result<Load> {
    load(gateway, "twenty", clients, time).await
}

async fn load(gateway: &Gateway, flow: &'static str, clients: usize, time: Duration) -> Result<Load> {
    let client = Client::new(gateway)?;
    client.install(bundle()?).await?;
    client.follow(&client.start(flow).await?).await?;
    let (began, spent) = (Instant::now(), Spent::by(gateway));
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let (mut times, mut records) = (Vec::new(), 0);
            while began.elapsed() < time {
                let from = Instant::now();
                records += client.follow(&client.start(flow).await?).await?;
                times.push(from.elapsed().as_secs_f64());
            }
            anyhow::Ok((times, records))
        }));
    }
    let (mut times, mut records) = (Vec::new(), 0);
    for task in tasks {
        let (some, count) = task.await??;
        times.extend(some);
        records += count;
    }
    let time = began.elapsed().as_secs_f64();
    let each = spent.each(gateway, times.len());
    times.sort_by(f64::total_cmp);
    Ok(Load { runs: times.len(), records, time, each, p50: percentile(&times, 0.5), p99: percentile(&times, 0.99) })
}

/// Starts runs until so many have been started, 64 at a time, and waits for the last ones.
pub(crate) async fn fill(gateway: &Gateway, runs: usize) -> Result<()> {
    let client = Client::new(gateway)?;
    let left = Arc::new(AtomicUsize::new(runs));
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (client, left) = (client.clone(), left.clone());
        tasks.push(tokio::spawn(async move {
            let mut last = None;
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                last = Some(client.start("echo").await?);
            }
            match last {
                Some(run) => client.follow(&run).await.map(|_| ()),
                None => Ok(()),
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Seconds that a list of 50 runs takes, the median of 20.
pub(crate) async fn list(gateway: &Gateway) -> Result<f64> {
    let client = Client::new(gateway)?;
    let mut times = Vec::new();
    for _ in 0..20 {
        let from = Instant::now();
        client.list().await?;
        times.push(from.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(percentile(&times, 0.5))
}

pub(crate) fn bundle() -> Result<Vec<u8>> {
    let entry = |flow: &str| json!({ "flow_id": flow, "name": flow, "description": "", "interfaces": [] });
    let manifest = json!({
        "bundle_format_version": "1", "bundle_id": "bench", "bundle_version": "1.0.0", "created_at": "",
        "entrypoints": [entry("echo"), entry("twenty"), entry("ask")], "default_entrypoint": "echo",
        "flows": { "echo": "flows/echo.json", "twenty": "flows/twenty.json", "ask": "flows/ask.json" },
    });
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let files = [
        ("manifest.json", manifest),
        ("flows/echo.json", chain("echo", 0)),
        ("flows/twenty.json", chain("twenty", 20)),
        ("flows/ask.json", ask()),
    ];
    for (name, value) in files {
        archive.start_file(name, zip::write::SimpleFileOptions::default())?;
        archive.write_all(value.to_string().as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}

fn execution(id: &str) -> Value {
    json!({ "id": id, "label": "", "type": "execution" })
}

fn node(id: &str, kind: &str, inputs: Value, outputs: Value, defaults: Value) -> Value {
    let data = json!({ "nodeType": kind, "inputs": inputs, "outputs": outputs, "pinDefaults": defaults });
    json!({ "id": id, "type": kind, "position": { "x": 0, "y": 0 }, "data": data })
}

/// start → so many answer_user nodes → end.
fn chain(id: &str, effects: usize) -> Value {
    let prompt = json!({ "id": "prompt", "label": "", "type": "string" });
    let mut nodes = vec![node("start", "on_flow_start", json!([]), json!([execution("exec-out"), prompt]), json!({}))];
    for place in 0..effects {
        let pins = json!([execution("exec-in"), { "id": "message", "label": "", "type": "string" }]);
        nodes.push(node(
            &format!("say{place}"),
            "answer_user",
            pins,
            json!([execution("exec-out")]),
            json!({ "message": "hi" }),
        ));
    }
    nodes.push(node("end", "on_flow_end", json!([execution("exec-in"), prompt]), json!([]), json!({})));
    let ids: Vec<String> = nodes.iter().map(|node| node["id"].as_str().unwrap_or_default().to_owned()).collect();
    let mut edges: Vec<Value> = ids
        .windows(2)
        .map(|pair| json!({ "id": pair[1], "source": pair[0], "sourceHandle": "exec-out", "target": pair[1], "targetHandle": "exec-in" }))
        .collect();
    edges.push(
        json!({ "id": "data", "source": "start", "sourceHandle": "prompt", "target": "end", "targetHandle": "prompt" }),
    );
    json!({ "id": id, "name": id, "nodes": nodes, "edges": edges, "entryNode": "start" })
}

/// A run that writes two records and waits for ever.
fn ask() -> Value {
    let start = node("start", "on_flow_start", json!([]), json!([execution("exec-out")]), json!({}));
    let ask = node(
        "ask",
        "ask_user",
        json!([execution("exec-in")]),
        json!([execution("exec-out")]),
        json!({ "prompt": "?" }),
    );
    let edge =
        json!({ "id": "e", "source": "start", "sourceHandle": "exec-out", "target": "ask", "targetHandle": "exec-in" });
    json!({ "id": "ask", "name": "ask", "nodes": [start, ask], "edges": [edge], "entryNode": "start" })
}
