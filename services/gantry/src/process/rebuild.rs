//! `gantry rebuild`: empties the run list and fills it again from the ledgers. Safe while a gateway runs.

use super::broker;
use super::config::ProcessConfig;
use anyhow::Context;
use bus::Bus;
use ledger::Feed;
use service::Tasks;
use service::config::Reader;
use std::time::Duration;
use store::runs::{Projector, Runs};

/// Reading everything again takes about a second for ten thousand steps; this is for the largest of stores.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// Rebuilds the run list; returns how many runs it holds.
pub async fn rebuild(mut reader: Reader) -> anyhow::Result<u64> {
    crate::settings::read_all(&mut reader)?;
    let config = ProcessConfig::read(&mut reader)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tasks = Tasks::new();
    let (bus, child) = match broker::join(&config.broker, &config.data_dir, "gantry-rebuild", &tasks).await {
        Ok(bus) => (bus, None),
        // No gateway runs here: its broker is started for the time being.
        Err(_) if config.broker.urls.is_empty() => {
            let started = broker::start(&config.broker, &config.data_dir, "gantry-rebuild", &tasks).await?;
            (started.bus, started.child)
        }
        Err(error) => return Err(error),
    };
    let count = fill(&bus, &config.database_url).await;
    if let Some(mut server) = child {
        server.stop().await;
    }
    count
}

async fn fill(bus: &Bus, database_url: &str) -> anyhow::Result<u64> {
    let runs = Runs::open(database_url).await?;
    runs.clear().await?;
    let projector = Projector::new(bus, &runs, &Feed::default());
    let tasks = Tasks::new();
    for shard in 0..bus.layout().shards {
        let (projector, stop) = (projector.clone(), tasks.stop_token());
        tasks.critical(format!("ledger reader {shard}"), async move {
            tokio::select! {
                followed = projector.follow(shard) => followed,
                () = stop.cancelled() => Ok(()),
            }
        });
    }
    let (writer, stop) = (projector.clone(), tasks.stop_token());
    tasks.critical("run list", async move {
        tokio::select! {
            written = writer.write() => written,
            () = stop.cancelled() => Ok(()),
        }
    });
    let done = tokio::select! {
        done = projector.reach_end(PATIENCE) => done.context("reading where the ledgers end"),
        failure = tasks.failed() => Err(failure.into()),
    };
    tasks.stop(Duration::from_secs(5)).await;
    anyhow::ensure!(done?, "the ledgers could not be read to their end; run it again");
    Ok(runs.count().await?)
}
