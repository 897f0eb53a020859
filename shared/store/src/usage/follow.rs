//! Keeps the sums current.

use super::{Account, UsageSums};
use crate::runs::RunsError;
use bus::{StoredUsage, UsageLog};
use std::time::Duration;
use tokio::sync::mpsc;

/// Accounts that wait to be added.
const QUEUE: usize = 4_096;
/// Accounts added in one transaction.
const BATCH: usize = 500;

impl UsageSums {
    /// Follows the accounts, for ever, and adds them up.
    pub async fn keep_following(&self, log: &UsageLog) -> Result<(), RunsError> {
        loop {
            let after = self.position().await?;
            let (send, mut receive) = mpsc::channel::<StoredUsage>(QUEUE);
            let followed = log.follow(after, &send);
            tokio::select! {
                followed = followed => {
                    if let Err(error) = followed {
                        tracing::debug!(%error, "accounts are followed anew");
                    }
                }
                added = self.take(after, &mut receive) => added?,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Adds what comes, in order; ends when another process has added it first.
    async fn take(&self, mut after: u64, queue: &mut mpsc::Receiver<StoredUsage>) -> Result<(), RunsError> {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let accounts: Vec<_> = batch.drain(..).filter_map(read).collect();
            let last = accounts.last().map(|(sequence, ..)| *sequence);
            if !self.add(after, &accounts).await? {
                return Ok(());
            }
            after = last.unwrap_or(after);
        }
        Ok(())
    }
}

fn read(stored: StoredUsage) -> Option<(u64, domain::Plane, Account)> {
    match serde_json::from_slice(&stored.body) {
        Ok(account) => Some((stored.sequence, stored.plane, account)),
        Err(error) => {
            tracing::error!(%error, sequence = stored.sequence, "an account cannot be read and is skipped");
            None
        }
    }
}
