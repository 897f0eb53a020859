//! `make bench`: the gateway against raw JetStream, in one run on one machine.
//!
//! Every figure stands beside the ceiling measured just before it with the same broker settings, as a ratio; a lone
//! absolute time says nothing about another machine. `-- --runs 100000` fills the store with more finished runs.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "its tasks are clients that end with the measurement")]

mod ceiling;
mod client;
mod gateway;
mod memory;
mod runs;
mod steps;
mod streams;

use anyhow::Result;
use gateway::Gateway;
use std::time::Duration;

/// Concurrent clients of the latency table.
const CLIENTS: [usize; 3] = [1, 16, 64];

#[tokio::main]
async fn main() -> Result<()> {
    let most = runs_wanted()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    for durability in ["safe", "fast"] {
        measure(durability, if durability == "fast" { most } else { 0 }).await?;
    }
    shards().await
}

fn runs_wanted() -> Result<usize> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(10_000),
        (Some("--runs"), Some(count)) => Ok(count.parse()?),
        _ => anyhow::bail!("usage: bench [-- --runs COUNT]"),
    }
}

async fn measure(durability: &str, finished: usize) -> Result<()> {
    println!("\n== durability {durability}");
    let ceiling = ceiling::fenced_publishes(durability, None, 64, Duration::from_secs(3)).await?;
    println!("raw fenced publishes (ceiling)  {ceiling:>8.0} /s");
    let gateway = Gateway::start(durability, None).await?;
    println!("ready after                     {:>8.0} ms", gateway.ready_after.as_secs_f64() * 1e3);
    memory::report(&gateway);
    let steps = steps::per_second(&gateway, 5_000).await?;
    println!("durable steps, no HTTP          {steps:>8.0} /s  ({:.0}% of the ceiling)", steps / ceiling * 100.0);
    for clients in CLIENTS {
        let echo = runs::echo(&gateway, clients, Duration::from_secs(3)).await?;
        println!(
            "echo runs, {clients:>2} clients           {echo}  ({:.0}% of the ceiling)",
            echo.rate() / ceiling * 100.0
        );
    }
    let twenty = runs::many_steps(&gateway, 16).await?;
    println!("flow of 20 effects, 16 clients  {twenty}");
    let first = streams::first_record(&gateway, 1_000).await?;
    println!("first record, 1,000 streams     p50 {:.1} ms, p99 {:.1} ms", first.0 * 1e3, first.1 * 1e3);
    memory::report(&gateway);
    if finished > 0 {
        growth(&gateway, finished).await?;
    }
    gateway.stop().await
}

/// The same measurement with more and more finished runs in the store.
async fn growth(gateway: &Gateway, most: usize) -> Result<()> {
    let mut base = None;
    for target in [1_000, 10_000, 100_000].into_iter().filter(|target| *target <= most) {
        runs::fill(gateway, target).await?;
        let echo = runs::echo(gateway, 16, Duration::from_secs(3)).await?;
        let list = runs::list(gateway).await?;
        let first = *base.get_or_insert(echo.p50);
        println!(
            "with {target:>6} finished runs        {echo}, list {:.1} ms  ({:.2}x of 1,000)",
            list * 1e3,
            echo.p50 / first
        );
    }
    memory::report(gateway);
    Ok(())
}

/// Whether syncs of several streams overlap: the setting's default comes from here.
async fn shards() -> Result<()> {
    println!("\n== ledger shards, durability safe");
    for shards in [1, 4, 8] {
        let ceiling = ceiling::fenced_publishes("safe", Some(shards), 64, Duration::from_secs(2)).await?;
        let gateway = Gateway::start("safe", Some(shards)).await?;
        let echo = runs::echo(&gateway, 64, Duration::from_secs(3)).await?;
        println!("{shards} shards: raw {ceiling:>6.0} /s, echo runs {echo}");
        gateway.stop().await?;
    }
    Ok(())
}
