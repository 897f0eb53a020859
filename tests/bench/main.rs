//! `make bench`: the gateway against raw JetStream, in one run on one machine.
//!
//! Every figure stands beside the ceiling measured just before it with the same broker settings, the same bytes and as
//! many writers, as a ratio; a lone absolute time says nothing about another machine. Processor time per run stands
//! beside it, because rates fall on a busy machine. `-- --runs 100000` fills the store with more finished runs,
//! `-- --only fast` measures one durability, and `-- --part jobs` the GPU control plane without the runs,
//! `-- --part proxy` model traffic beside other proxies.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "its tasks are clients that end with the measurement")]

mod agent;
mod ceiling;
mod client;
mod control;
mod decisions;
mod gateway;
mod jobs;
mod processes;
mod proxy;
mod runs;
mod steps;
mod streams;
mod worker;

use anyhow::Result;
use gateway::Gateway;
use processes::Spent;
use std::time::Duration;

/// Concurrent clients of the latency table.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Runs of one step that are put into their inboxes without HTTP.
const STEPS: usize = 10_000;
/// How long one load lasts.
const TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<()> {
    let wanted = Wanted::read()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let both = ["safe", "fast"].into_iter().filter(|word| wanted.only.as_ref().is_none_or(|only| only == word));
    if wanted.is_part("jobs") {
        control::core()?;
        for durability in both.clone() {
            control::measure(durability).await?;
        }
    }
    if wanted.is_part("proxy") {
        Box::pin(proxy::measure()).await?;
    }
    if !wanted.is_part("runs") {
        return Ok(());
    }
    for durability in both {
        // Filling is what takes long, and it is quicker where nothing is synced.
        let fills = durability == "fast" || wanted.only.is_some();
        measure(durability, if fills { wanted.runs } else { 0 }).await?;
    }
    if wanted.only.is_none() { shards().await } else { Ok(()) }
}

/// What the command line asks for.
struct Wanted {
    runs: usize,
    only: Option<String>,
    part: Option<String>,
}

impl Wanted {
    fn read() -> Result<Self> {
        let mut wanted = Self { runs: 1_000, only: None, part: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), arguments.next()) {
                ("--runs", Some(count)) => wanted.runs = count.parse()?,
                ("--only", Some(word)) if ["safe", "fast"].contains(&word.as_str()) => wanted.only = Some(word),
                ("--part", Some(word)) if ["jobs", "runs", "proxy"].contains(&word.as_str()) => {
                    wanted.part = Some(word)
                }
                _ => anyhow::bail!("usage: bench [--runs COUNT] [--only safe|fast] [--part jobs|runs|proxy]"),
            }
        }
        Ok(wanted)
    }

    fn is_part(&self, word: &str) -> bool {
        self.part.as_ref().is_none_or(|part| part == word)
    }
}

async fn measure(durability: &str, finished: usize) -> Result<()> {
    println!("\n== durability {durability}");
    let gateway = Gateway::start(durability, None).await?;
    println!("ready after                     {:>8.0} ms", gateway.ready_after.as_secs_f64() * 1e3);
    println!("memory, idle                    {}", processes::memory(&gateway));
    let body = steps::sample(&gateway).await?;
    let mut ceilings = Vec::new();
    for writers in CLIENTS {
        let ceiling = ceiling::fenced_publishes(durability, None, &body, writers, Duration::from_secs(2)).await?;
        println!("raw fenced publishes, {writers:>2} writers {ceiling:>8.0} /s  (ceiling; {} bytes each)", body.len());
        ceilings.push(ceiling);
    }
    let most = ceilings.last().copied().unwrap_or(f64::NAN);
    let spent = Spent::by(&gateway);
    let steps = steps::per_second(&gateway, STEPS).await?;
    let each = spent.each(&gateway, STEPS);
    println!(
        "durable steps, no HTTP          {steps:>8.0} /s, {each}  ({:.0}% of the ceiling; {:.0}% as stored messages, two a step)",
        steps / most * 100.0,
        2.0 * steps / most * 100.0
    );
    for (clients, ceiling) in CLIENTS.into_iter().zip(ceilings) {
        let echo = runs::echo(&gateway, clients, TIME).await?;
        println!(
            "echo runs, {clients:>2} clients           {echo}  ({:.0}% of the ceiling)",
            echo.rate() / ceiling * 100.0
        );
    }
    let before = steps::ledger_messages(&gateway).await?;
    let twenty = runs::many_effects(&gateway, 16, TIME).await?;
    let messages = (steps::ledger_messages(&gateway).await? - before) as f64 / twenty.time();
    println!(
        "flow of 20 effects, 16 clients  {twenty}  (records: {:.0}% of the ceiling, stored as {messages:.0} messages/s)",
        twenty.records_rate() / most * 100.0
    );
    println!("memory, after these loads       {}", processes::memory(&gateway));
    let first = streams::first_record(&gateway, 1_000).await?;
    println!("first record, 1,000 streams     p50 {:.1} ms, p99 {:.1} ms", first.0 * 1e3, first.1 * 1e3);
    println!("memory, 1,000 streams open      {}", first.2);
    if finished > 0 {
        growth(&gateway, finished).await?;
    }
    gateway.stop().await
}

/// The same measurement with more and more finished runs in the store.
async fn growth(gateway: &Gateway, most: usize) -> Result<()> {
    let (mut base, mut filled) = (None, 0);
    for target in [1_000, 10_000, 100_000].into_iter().filter(|target| *target <= most) {
        runs::fill(gateway, target - filled).await?;
        filled = target;
        let echo = runs::echo(gateway, 16, TIME).await?;
        let list = runs::list(gateway).await?;
        let first = *base.get_or_insert(echo.p50);
        println!(
            "with {target:>6} finished runs        {echo}, list {:.1} ms  ({:.2}x of 1,000); {}",
            list * 1e3,
            echo.p50 / first,
            processes::memory(gateway)
        );
    }
    Ok(())
}

/// Whether syncs of several streams overlap: the setting's default comes from here.
async fn shards() -> Result<()> {
    println!("\n== ledger shards, durability safe");
    for shards in [1, 4, 8] {
        let gateway = Gateway::start("safe", Some(shards)).await?;
        let body = steps::sample(&gateway).await?;
        let ceiling = ceiling::fenced_publishes("safe", Some(shards), &body, 64, Duration::from_secs(2)).await?;
        let echo = runs::echo(&gateway, 64, Duration::from_secs(3)).await?;
        println!("{shards} shards: raw {ceiling:>6.0} /s, echo runs {echo}");
        gateway.stop().await?;
    }
    Ok(())
}
