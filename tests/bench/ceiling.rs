//! What the broker can do at best: fenced publishes with nothing around them.

use crate::gateway;
use anyhow::Result;
use bus::{Bus, BusOptions, Commit, CommitOutcome, Connection, TraceContext};
use bytes::Bytes;
use domain::{Plane, RunId};
use nats_process::{Server, SyncInterval};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Fenced publishes of that body per second, from so many writers of which each waits for its acknowledgement.
pub(crate) async fn fenced_publishes(
    durability: &str,
    shards: Option<u16>,
    body: &Bytes,
    writers: usize,
    time: Duration,
) -> Result<f64> {
    let directory = tempfile::Builder::new().prefix("gantry-bench").tempdir_in(gateway::base()?)?;
    let interval =
        if durability == "safe" { SyncInterval::Always } else { SyncInterval::Every(Duration::from_secs(1)) };
    let mut server = Server::builder().store_dir(directory.path()).durability(interval).start().await?;
    let connection = Connection { urls: vec![server.url()], name: "bench".to_owned(), ..Default::default() };
    let bus = bus::connect(&connection, BusOptions { shards, replicas: 1 }).await?;
    let rate = publish(&bus, body, writers, time).await?;
    server.stop().await;
    Ok(rate)
}

async fn publish(bus: &Bus, body: &Bytes, writers: usize, time: Duration) -> Result<f64> {
    let journal = bus.journal(&Plane::new("bench", "raw")?);
    let (count, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let (journal, count, body) = (journal.clone(), count.clone(), body.clone());
        tasks.push(tokio::spawn(async move {
            let run = RunId::new(domain::uuid_from(&[b"bench", &writer.to_le_bytes()]));
            let mut expected = journal.last_at_leader(&run).await?.map_or(0, |last| last.sequence);
            let trace = TraceContext::default();
            while began.elapsed() < time {
                let commit = Commit {
                    run: &run,
                    expected,
                    inbox_cursor: 0,
                    effects: 0,
                    writer: "bench",
                    body: body.clone(),
                    trace: &trace,
                };
                if let CommitOutcome::Stored(sequence) = journal.commit(&commit).await? {
                    expected = sequence;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<(), bus::BusError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
