//! The proxy beside vllm-router and nginx, in one run, in front of the same upstream.

mod client;
mod servers;
mod upstream;

use crate::runs::percentile;
use anyhow::Result;
use client::{follow, hold, load, request};
use servers::Server;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use upstream::Upstream;

/// How long one load lasts.
const TIME: Duration = Duration::from_millis(800);
/// Longest wait for what may never come.
const PATIENCE: Duration = Duration::from_secs(2);
const STREAMS: usize = 1_000;
const ABORTS: usize = 100;
const SMALL: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// Measures everything and prints it.
pub(crate) async fn measure() -> Result<()> {
    println!("\n== proxy: small requests (with keys, limits and metrics on; nginx is the floor)");
    let peers = servers::peers().await?;
    let mut costs: Vec<(&'static str, f64)> = Vec::new();
    for (label, pause) in [("instant", Duration::ZERO), ("20 ms", Duration::from_millis(20))] {
        let upstream = upstream::start(pause)?;
        let direct = load(upstream.address, &request(SMALL), 16, TIME).await?;
        println!(
            "upstream {label}, asked directly, 16 clients: {:.0} /s, p99 {:.2} ms",
            direct.requests as f64 / direct.time,
            direct.p99 * 1e3
        );
        for server in all(&peers, &upstream).await? {
            for clients in crate::CLIENTS {
                let cost = small(&server, &request(SMALL), label, clients).await?;
                if pause.is_zero() && clients == 16 {
                    costs.push((server.name, cost));
                }
            }
            if pause.is_zero() {
                streams(&server, &upstream).await?;
            }
            server.stop().await?;
        }
    }
    let ours = costs.iter().find(|(name, _)| *name == "gantry").map_or(f64::NAN, |(_, cost)| *cost);
    for (name, cost) in costs.iter().filter(|(name, _)| *name != "gantry") {
        println!("CPU of a small request, 16 clients: {:.0} % of {name}'s", ours / cost * 100.0);
    }
    Ok(())
}

async fn all(peers: &[(String, String)], upstream: &Upstream) -> Result<Vec<Server>> {
    let mut servers = vec![Server::gantry(upstream.address).await?];
    for (name, path) in peers {
        servers.push(match name.as_str() {
            "nginx" => Server::nginx(path, upstream.address).await?,
            _ => Server::vllm_router(path, upstream.address).await?,
        });
    }
    Ok(servers)
}

/// One load on one proxy; the processor time of a request in microseconds.
async fn small(server: &Server, request: &[u8], label: &str, clients: usize) -> Result<f64> {
    let before = server.spent().0;
    let load = load(server.address, request, clients, TIME).await?;
    let cost = (server.spent().0 - before) * 1e6 / load.requests.max(1) as f64;
    println!(
        "{:<12} {label:<8} {clients:>3} clients {:>7.0} /s  p50 {:>6.2} ms  p99 {:>6.2} ms  CPU {cost:>5.0} µs",
        server.name,
        load.requests as f64 / load.time,
        load.p50 * 1e3,
        load.p99 * 1e3
    );
    Ok(cost)
}

/// Long prompts, chunks, held streams and broken off ones.
async fn streams(server: &Server, upstream: &Upstream) -> Result<()> {
    let long = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(20_000));
    small(server, &request(&long), "100 KB", 1).await?;
    let paced = request(r#"{"model":"m","stream":true,"user":"paced","messages":[{"role":"user","content":"hi"}]}"#);
    let direct = follow(upstream.address, &paced, upstream.epoch).await?.0;
    let (late, events) = follow(server.address, &paced, upstream.epoch).await?;
    let same = *upstream.sent.lock().unwrap_or_else(PoisonError::into_inner) == events;
    let added = |share| (percentile(&late, share) - percentile(&direct, share)) * 1e6;
    println!(
        "{:<12} a chunk comes {:.0} µs later at p50, {:.0} µs at p99; bytes are {}",
        server.name,
        added(0.5),
        added(0.99),
        if same { "the same" } else { "CHANGED" }
    );
    let held = request(r#"{"model":"m","stream":true,"user":"held","messages":[{"role":"user","content":"hi"}]}"#);
    let before = server.spent().1;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        match tokio::time::timeout(PATIENCE, hold(server.address, &held)).await {
            Ok(stream) => open.push(stream?),
            Err(_) => break,
        }
    }
    let count = open.len();
    let each = (server.spent().1 - before) / count.max(1) as f64 / 1024.0;
    drop(open);
    until_hung_up(upstream, count).await;
    let mut times = Vec::new();
    for _ in 0..ABORTS {
        let Ok(stream) = tokio::time::timeout(PATIENCE, hold(server.address, &held)).await else { break };
        let stream = stream?;
        let from = Instant::now();
        drop(stream);
        // One that is not closed will not be the only one; a hundred waits would tell no more.
        let Some(at) = until_hung_up(upstream, 1).await else { break };
        times.push(at.saturating_duration_since(from).as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let closed = match times.len() {
        0 => format!("upstream was not closed within {PATIENCE:?} of the client"),
        aborts => format!(
            "upstream closed {:.2} ms after the client at p50, {:.2} ms at p99 ({aborts} of {ABORTS})",
            percentile(&times, 0.5) * 1e3,
            percentile(&times, 0.99) * 1e3
        ),
    };
    println!("{:<12} {each:.1} KB for each of {count} streams; {closed}", server.name);
    Ok(())
}

/// Waits until so many held streams were hung up, but not for ever; when the last one was.
async fn until_hung_up(upstream: &Upstream, count: usize) -> Option<Instant> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        {
            let mut times = upstream.hung_up.lock().unwrap_or_else(PoisonError::into_inner);
            if times.len() >= count {
                return times.drain(..).next_back();
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}
