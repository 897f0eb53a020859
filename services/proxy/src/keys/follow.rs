//! Follows the keys and the accounts on the bus for a running proxy.

use crate::proxy::Proxy;
use bus::{Bus, BusError, StoredUsage};
use domain::Plane;
use std::time::Duration;
use tokio::sync::mpsc;

/// Pause before a count that broke is begun anew.
const AGAIN: Duration = Duration::from_millis(200);
/// Accounts that wait to be added.
const QUEUE: usize = 1_024;
/// Between two notes of the sums for those who begin later.
const NOTE: Duration = Duration::from_secs(10);

/// Takes over every change of the keys, for ever. The last known ones hold while the broker is away.
pub(crate) async fn watch_keys(proxy: &Proxy, bus: &Bus) {
    bus.keys().keep_watching(|known| proxy.set_stored_keys(known.values().cloned().collect())).await;
}

/// Adds up what keys use, for ever, and notes the sums now and then.
pub(crate) async fn count_spending(proxy: &Proxy, bus: &Bus) {
    let (log, keys) = (bus.usage(&Plane::main()), bus.keys());
    loop {
        let counted = async {
            let (sums, _) = keys.spending().await?;
            // What others have added up stands for accounts that may be gone by now.
            if sums.sequence > proxy.spending().sequence() {
                proxy.spending().begin(&sums);
            }
            let (send, mut receive) = mpsc::channel(QUEUE);
            tokio::select! {
                followed = log.follow(proxy.spending().sequence(), &send) => followed,
                added = add(proxy, &keys, &mut receive) => added,
            }
        };
        if let Err(error) = counted.await {
            tracing::debug!(%error, "accounts are counted anew");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn add(proxy: &Proxy, keys: &bus::Keys, accounts: &mut mpsc::Receiver<StoredUsage>) -> Result<(), BusError> {
    let mut beat = tokio::time::interval(NOTE);
    loop {
        tokio::select! {
            stored = accounts.recv() => match stored {
                Some(StoredUsage { sequence, body, .. }) => proxy.spending().add(sequence, &body, proxy.name()),
                None => return Ok(()),
            },
            _ = beat.tick() => note(proxy, keys).await?,
        }
    }
}

/// Writes the sums, unless somebody has noted later ones.
async fn note(proxy: &Proxy, keys: &bus::Keys) -> Result<(), BusError> {
    let (noted, revision) = keys.spending().await?;
    let sums = proxy.spending().sums();
    if sums.sequence > noted.sequence {
        keys.count(&sums, revision).await?;
    }
    Ok(())
}
