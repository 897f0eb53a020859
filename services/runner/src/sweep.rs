//! Dropping what was acknowledged from the inboxes, many messages at a time.

use bus::{Bus, BusError};
use std::time::Duration;
use tokio::sync::watch;

/// Acknowledgements are gathered for so long before what they free is dropped.
const GATHER: Duration = Duration::from_secs(2);

/// Acknowledgements by shard since this process began.
pub(crate) struct Sweeps {
    shards: Vec<watch::Sender<u64>>,
}

impl Sweeps {
    pub(crate) fn new(shards: u16) -> Self {
        Self { shards: (0..shards).map(|_| watch::Sender::new(0)).collect() }
    }

    /// Notes an acknowledgement.
    pub(crate) fn acknowledged(&self, shard: u16) {
        if let Some(count) = self.shards.get(usize::from(shard)) {
            count.send_modify(|count| *count += 1);
        }
    }

    /// Sweeps a shard a while after each acknowledgement, for ever. Once at the beginning, for those of a process that
    /// died before it swept.
    pub(crate) async fn sweep(&self, bus: &Bus, shard: u16) -> Result<(), BusError> {
        let Some(count) = self.shards.get(usize::from(shard)) else { return Ok(()) };
        let (mut acknowledged, mut swept) = (count.subscribe(), 0);
        acknowledged.mark_changed();
        while acknowledged.changed().await.is_ok() {
            tokio::time::sleep(GATHER).await;
            acknowledged.mark_unchanged();
            match bus.sweep(shard, swept).await {
                Ok(floor) => swept = floor,
                Err(error) => {
                    tracing::debug!(%error, shard, "inboxes are swept later");
                    acknowledged.mark_changed();
                }
            }
        }
        Ok(())
    }
}
