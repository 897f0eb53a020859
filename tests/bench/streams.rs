//! Many open streams.

use crate::client::Client;
use crate::gateway::Gateway;
use crate::processes;
use crate::runs::percentile;
use anyhow::Result;
use std::time::Instant;

/// Opens so many streams of waiting runs, then times the first record of fifty further streams: (p50, p99) in seconds, and
/// the memory with all of them open.
pub(crate) async fn first_record(gateway: &Gateway, streams: usize) -> Result<(f64, f64, String)> {
    let client = Client::new(gateway)?;
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(client.start("ask").await?);
    }
    let mut open = Vec::with_capacity(streams);
    for place in 0..streams {
        open.push(client.first_record(&runs[place % runs.len()]).await?);
    }
    let mut times = Vec::new();
    for _ in 0..50 {
        let run = client.start("ask").await?;
        let from = Instant::now();
        open.push(client.first_record(&run).await?);
        times.push(from.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok((percentile(&times, 0.5), percentile(&times, 0.99), processes::memory(gateway)))
}
