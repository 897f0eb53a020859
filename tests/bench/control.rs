//! The GPU control plane's figures, beside what the broker can do at best.

use crate::gateway::Gateway;
use crate::jobs::{self, Queue, Timed};
use crate::worker::Worker;
use crate::{TIME, agent, ceiling, decisions, processes, steps};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// Concurrent clients.
const CLIENTS: [usize; 2] = [1, 16];

/// What does not depend on the broker.
pub(crate) fn core() -> Result<()> {
    println!("\n== the core that decides");
    let rate = decisions::per_second()?;
    println!("decisions, 10,000 jobs, 64 GPUs {rate:>8.0} /s of one core  (aim: 100,000)");
    Ok(())
}

/// Everything else, in one durability.
pub(crate) async fn measure(durability: &str) -> Result<()> {
    println!("\n== jobs, durability {durability}");
    let gateway = Gateway::start(durability, None).await?;
    let body = steps::sample(&gateway).await?;
    let (queue, mut worker) = (Queue::new(&gateway)?, Worker::start().await?);
    queue.register("noop", &worker, json!({"max_concurrency": 64})).await?;
    let one = json!({"max_concurrency": 1, "min_runtime_ms": 0, "stop_endpoint": "/stop"});
    queue.register("one", &worker, one).await?;
    for clients in CLIENTS {
        let raw = ceiling::fenced_publishes(durability, None, &body, clients, Duration::from_secs(2)).await?;
        println!("raw fenced publishes, {clients:>2} writers {raw:>8.0} /s  (reference)");
        let whole = jobs::load(&queue, "noop", Timed::Whole, clients, TIME).await?;
        println!(
            "jobs to their end, {clients:>2} clients   {whole}  ({:.0}% of the reference; aim: p50 10 ms)",
            whole.rate() / raw * 100.0
        );
        if clients == 1 {
            let urgent = jobs::urgent(&queue, &mut worker, "one", 50).await?;
            println!(
                "urgent job to its start         {urgent}  (slowest: {:.0} reference writes; aim: p99 250 ms)",
                urgent.p99() * raw
            );
        }
    }
    let rate = jobs::batches(&queue, "noop", 5_000).await?;
    println!("5,000 jobs in batches of 500    {rate:>8.0} /s to their ends  (aim in fast: 1,000)");
    // Nothing serves this type: the queue grows.
    for clients in CLIENTS {
        let submitted = jobs::load(&queue, "waiting", Timed::Submit, clients, TIME).await?;
        println!("submissions, {clients:>2} clients        {submitted}");
    }
    let share = agent::idle(&gateway, Duration::from_secs(5)).await?;
    println!("idle agent, two GPUs            {:>8.2} % of a core  (aim: 0.5)", share * 100.0);
    println!("memory, after these loads       {}", processes::memory(&gateway));
    gateway.stop().await
}
